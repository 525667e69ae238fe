"""All failures that Px reports, as one tree.

::

    PxError                          one failure: its status, its cause, a hint how to fix it
    ├── ClientError                  the client's fault; nothing was sent upstream
    │   ├── BadRequestError          400, 408, 414, 417, 431, 501, 505: the request breaks RFC 9110/9112
    │   ├── ForbiddenError           403: a rule of Px or of the upstream denies it
    │   ├── ClientLoginError         407: the client has to log in at Px first
    │   └── LoopError                508: the request would come back to Px
    ├── HopError                     the next hop failed
    │   ├── UnreachableError         no connection: name look-up, connect, TLS
    │   │   └── UpstreamSilentError  a connection without a word from the upstream
    │   ├── TargetError              502, 504, 403: the hop works, and reports that it cannot reach the target
    │   ├── HopTimeoutError          504: the hop was silent for too long
    │   │   └── ClientLeftError      the client has probably left
    │   └── BadResponseError         502: the hop broke RFC 9112, or closed during its answer
    ├── RoutingError                 502: the route to the origin could not be found
    │   └── PacError                 a PAC script cannot be loaded, or failed
    ├── ExhaustedError               503: this computer has no descriptor or memory left
    └── LoginError                   502: a login that the upstream wants failed
        ├── LoginUnusableError       this scheme cannot be used here (no ticket, no password)
        ├── LoginRefusedError        the upstream, or the KDC, refused the secret
        └── LoginBlockedError        Px sends no login, so that the account is not locked

A `PxError` is caught once, in `px.downstream.session`. If nothing has been sent to the client yet, the error
becomes an answer; otherwise Px closes the connection and logs one line.
"""

from __future__ import annotations

from collections.abc import Sequence

#: The hop of an error where Px connects to the origin itself.
DIRECT = "direct"


class PxError(Exception):
    """A failure, described for a person.

    Args:
        cause: What failed, at which hop, as whom: one sentence without secrets.
        hint: What the person can do: one sentence, or empty.
        status: The HTTP status of the answer; the class's own if omitted.
        retry_after: Seconds after which a new attempt makes sense (RFC 9110 10.2.3), or None.
    """

    status = 502
    #: The error type of RFC 9209 2.3 for the Proxy-Status field.
    proxy_status = "proxy_internal_error"
    #: Additional fields of the answer.
    fields: Sequence[tuple[bytes, bytes]] = ()
    #: Whether the request's body was read, so that the client's connection may be kept.
    is_body_read = False
    #: Whether the failure is an ordinary event that needs no warning.
    is_routine = False
    #: The next hop that failed: ``direct`` or an upstream; empty if no hop did.
    hop = ""
    #: The host that the client wants, if the request has got that far.
    target = ""
    #: The text for the log instead of the cause, if the log may say more than the client may know.
    detail = ""
    #: The reason phrase after "Px: ". npm, pip, apt and wget show nothing else of an answer, so it names the
    #: culprit; otherwise users suspect the site.
    phrase = "internal error"
    #: The same with the name of the hop, where `hop` is known; empty if the hop is not to blame.
    phrase_at = ""

    def __init__(
        self,
        cause: str,
        hint: str = "",
        *,
        status: int | None = None,
        proxy_status: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.hint = hint
        self.retry_after = retry_after
        if status is not None:
            self.status = status
        if proxy_status is not None:
            self.proxy_status = proxy_status


class ClientError(PxError):
    """The client's fault; nothing of the request was sent upstream."""

    phrase = "bad request"
    status = 400
    proxy_status = "http_request_error"


class BadRequestError(ClientError):
    """The request breaks RFC 9110 or 9112; the client's connection is closed after the answer."""


class ForbiddenError(ClientError):
    """A rule denies the request."""

    phrase = "not allowed"
    phrase_at = "{} denies this request"
    status = 403
    proxy_status = "http_request_denied"


class ClientLoginError(ClientError):
    """The client has to log in at Px, or its login was wrong (RFC 9110 15.5.8)."""

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
    phrase_at = "{} failed"
    proxy_status = "destination_unavailable"


class UnreachableError(HopError):
    """No connection to the next hop: name look-up, connect or TLS failed.

    Attributes:
        is_upstream: Whether the next hop is an upstream, so that nothing is known of the target.
    """

    phrase = "cannot connect"
    phrase_at = "cannot connect to {}"
    is_upstream = False


class UpstreamSilentError(UnreachableError):
    """An upstream accepted the connection, but did not send an answer that depends on itself alone."""

    phrase = "the upstream is silent"
    phrase_at = "{} is silent"
    status = 504
    proxy_status = "http_response_timeout"


class TargetError(HopError):
    """An upstream reports that it cannot reach the target. Another upstream would report the same."""

    phrase = "the upstream cannot reach the site"
    phrase_at = "{} cannot reach the site"


class HopTimeoutError(HopError):
    """The next hop was silent for too long."""

    phrase = "no answer in time"
    phrase_at = "no answer from {} in time"
    status = 504
    proxy_status = "http_response_timeout"


class ClientLeftError(HopTimeoutError):
    """The client has ended its direction and no answer came in time: the client has probably left."""

    is_routine = True


class BadResponseError(HopError):
    """The next hop broke RFC 9112, or closed the connection during an answer."""

    phrase = "broken answer"
    phrase_at = "broken answer from {}"
    proxy_status = "http_protocol_error"


class RoutingError(PxError):
    """The route to the origin could not be found."""

    phrase = "the route to the origin is not known"
    proxy_status = "proxy_configuration_error"


class PacError(RoutingError):
    """A PAC script cannot be loaded, or failed; the cause names its location and, if known, the line."""

    phrase = "PAC script failed"


class ExhaustedError(PxError):
    """This computer has no descriptor or memory left; no hop is to blame."""

    phrase = "this computer is out of resources"
    status = 503
    proxy_status = "connection_limit_reached"


class LoginError(PxError):
    """The upstream wants a login, and Px could not make it."""

    phrase = "login at the upstream failed"
    phrase_at = "login at {} failed"
    proxy_status = "http_request_denied"


class LoginUnusableError(LoginError):
    """A scheme cannot be used here: no ticket, no password, no library. The next scheme may work."""

    phrase = "no usable login for the upstream"
    phrase_at = "no usable login for {}"


class LoginRefusedError(LoginError):
    """The upstream refused a final token, or the KDC refused the password."""

    phrase = "the upstream refused the login"
    phrase_at = "login at {} refused"


class LoginBlockedError(LoginError):
    """Px sends no token for now, so that the account is not locked."""

    phrase = "logins paused after refusals"
    phrase_at = "logins at {} paused after refusals"
