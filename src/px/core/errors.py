"""Everything Px can say went wrong, as one tree.

::

    PxError                          one failure: its status, its cause, the way to mend it
    ├── ClientError                  the client's doing; nothing was sent upstream
    │   ├── BadRequestError          400, 408, 414, 417, 431, 501, 505: the request breaks RFC 9110/9112
    │   ├── ForbiddenError           403: a rule of Px or of the upstream denies it
    │   ├── ClientLoginError         407: the client has to log in at Px first
    │   └── LoopError                508: the request would come back to Px
    ├── HopError                     the next hop failed
    │   ├── UnreachableError         no connection: name look-up, connect, TLS
    │   │   └── UpstreamSilentError  a connection on which the upstream says nothing
    │   ├── TargetError              502, 504, 403: it does its work and says that the target is not reached
    │   ├── HopTimeoutError          504: it was silent for too long
    │   └── BadResponseError         502: it broke RFC 9112, or closed in the middle
    ├── RoutingError                 502: the way to the origin could not be found out
    │   └── PacError                 a PAC script cannot be had, or failed
    ├── ExhaustedError               503: this computer has no descriptor or memory left
    └── LoginError                   502: the upstream wants a login that failed
        ├── LoginUnusableError       this scheme cannot be used here (no ticket, no password)
        ├── LoginRefusedError        the upstream, or the KDC, refused the secret
        └── LoginBlockedError        Px holds back, so that the account is not locked

A `PxError` is caught once, in `px.net.session`: nothing sent to the client yet, and it becomes a page;
else the connection is closed and one line is logged.
"""

from __future__ import annotations

from collections.abc import Sequence


class PxError(Exception):
    """A failure that a person has to understand.

    Args:
        cause: What failed, at which hop, as whom: one sentence, no secret in it.
        mend: What to do about it: one sentence, or empty.
        status: HTTP status to answer with; the class's own when omitted.
        retry_after: Seconds after which trying again makes sense (RFC 9110 10.2.3), or None.
    """

    status = 502
    #: Error type of RFC 9209 2.3 for the Proxy-Status field.
    proxy_status = "proxy_internal_error"
    #: Fields of the answer besides.
    fields: Sequence[tuple[bytes, bytes]] = ()
    #: Whether the request's body was read, so that the client's connection may be kept although it had one.
    is_body_read = False
    #: Whether it belongs to the ordinary course of things and is nothing to warn of.
    is_routine = False
    #: What the log says in place of the cause: more than the client may know.
    detail = ""
    #: Reason phrase after "Px: ". npm, pip, apt and wget show no more than that of an answer, so it names
    #: the culprit; without it everybody suspects the site.
    phrase = "internal error"

    def __init__(
        self,
        cause: str,
        mend: str = "",
        *,
        status: int | None = None,
        proxy_status: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.mend = mend
        self.retry_after = retry_after
        if status is not None:
            self.status = status
        if proxy_status is not None:
            self.proxy_status = proxy_status


class ClientError(PxError):
    """The client's doing; nothing of the request was sent upstream."""

    phrase = "bad request"
    status = 400
    proxy_status = "http_request_error"


class BadRequestError(ClientError):
    """The request breaks RFC 9110 or 9112; the client's connection is closed after the answer."""


class ForbiddenError(ClientError):
    """A rule denies the request."""

    phrase = "not allowed"
    status = 403
    proxy_status = "http_request_denied"


class ClientLoginError(ClientError):
    """The client has to log in at Px, or did so wrongly (RFC 9110 15.5.8)."""

    phrase = "log in at this Px"
    status = 407
    proxy_status = "http_request_denied"


class LoopError(ClientError):
    """The request would come back to Px."""

    phrase = "a proxy setting points in a circle"
    status = 508
    proxy_status = "proxy_loop_detected"


class HopError(PxError):
    """The next hop, an upstream or an origin, failed."""

    phrase = "the next hop failed"
    proxy_status = "destination_unavailable"


class UnreachableError(HopError):
    """No connection to the next hop: name look-up, connect or TLS failed."""

    phrase = "cannot connect"


class UpstreamSilentError(UnreachableError):
    """An upstream accepted the connection and did not say what only it can say."""

    status = 504
    proxy_status = "http_response_timeout"


class TargetError(HopError):
    """A SOCKS upstream says that the target is not reached: an answer, which another one would give too."""

    phrase = "the upstream does not reach the site"


class HopTimeoutError(HopError):
    """The next hop was silent for too long."""

    phrase = "no answer in time"
    status = 504
    proxy_status = "http_response_timeout"


class BadResponseError(HopError):
    """The next hop broke RFC 9112, or closed in the middle of an answer."""

    phrase = "broken answer"
    proxy_status = "http_protocol_error"


class RoutingError(PxError):
    """The way to the origin could not be found out."""

    phrase = "the way to the origin is not known"
    proxy_status = "proxy_configuration_error"


class PacError(RoutingError):
    """A PAC script cannot be loaded, or failed; the cause names its location and, where known, the line."""

    phrase = "PAC script failed"


class ExhaustedError(PxError):
    """This computer has no descriptor or memory left; no hop is to blame."""

    phrase = "this computer is out of resources"
    status = 503
    proxy_status = "connection_limit_reached"


class LoginError(PxError):
    """The upstream wants a login that could not be made."""

    phrase = "login at the upstream failed"
    proxy_status = "http_request_denied"


class LoginUnusableError(LoginError):
    """A scheme cannot be used here: no ticket, no password, no library; the next scheme may do."""

    phrase = "no usable login for the upstream"


class LoginRefusedError(LoginError):
    """The upstream refused a final token, or the KDC the password."""

    phrase = "the upstream refused the login"


class LoginBlockedError(LoginError):
    """Px sends no token for now, so that the account is not locked."""

    phrase = "logins paused after refusals"
