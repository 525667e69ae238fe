"""How far a connection to an upstream gets: name, TCP, TLS, and what the upstream offers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from px.checks.px_client import format_request
from px.checks.step import Step, Tell, Verdict, stopwatch
from px.core.auth.challenge import parse_challenges
from px.core.errors import BadResponseError, PxError
from px.core.host import to_address
from px.core.http.target import Authority
from px.core.login.method import SCHEME_NAMES
from px.system.process.waiting import waiting_for
from px.upstream.connections.connection import ClosedBeforeAnswerError

if TYPE_CHECKING:
    from px.app.px import PxParts
    from px.core.http.request_head import RequestHead
    from px.core.http.response_head import ResponseHead
    from px.upstream.connections.connection import Hop

#: An upstream that wants no login answers for the site, which may take a while.
_ANSWER_TIMEOUTS: Final = 4
#: Kerberos allows five minutes (RFC 4120 5.2.7.2: "typically"), and so does NTLM in Windows domains.
MAX_SKEW_SECONDS: Final = 300.0
#: Clocks that differ less are the same: a Date field has whole seconds (RFC 9110 5.6.7), and was made before.
_SAME_SECONDS: Final = 2.0
#: Schemes whose logins carry the time.
_TIMED_SCHEMES: Final = frozenset(("negotiate", "ntlm"))
_LOGIN_REQUIRED: Final = 407
_NO_HTTP: Final = "Check the host and the port: is this an HTTP proxy?"


class Offer(NamedTuple):
    """What an upstream answers to a request without a login.

    Attributes:
        schemes: The login schemes that it offers, in lower case; None: it wants no login.
        text: The same for users.
    """

    schemes: frozenset[str] | None
    text: str


class UpstreamCheck:
    """Checks one upstream.

    Args:
        parts: Of a running Px.
        hop: The upstream.
        request: Sent there without a login.
        tell: Takes the steps.
        wall_clock: Seconds since the epoch.
    """

    def __init__(
        self,
        parts: PxParts,
        hop: Hop,
        request: RequestHead,
        tell: Tell,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._parts = parts
        self._hop = hop
        self._request = request
        self._tell = tell
        self._wall_clock = wall_clock

    async def connect(self) -> bool:
        """Return whether connections to the upstream succeed."""
        hop = self._hop
        if to_address(hop.host) is None and not await self._resolve():
            return False
        is_open = await self._dial("TCP", replace(hop, is_tls=False))
        return await self._dial("TLS", hop) if is_open and hop.is_tls else is_open

    async def _resolve(self) -> bool:
        host, elapsed = self._hop.host, stopwatch()
        try:
            with waiting_for(f"the address of {host}"):
                addresses = await self._parts.resolver.resolve(host)
        except PxError as error:
            self._tell(Step("DNS", Verdict.FAILED, error.cause, error.hint, elapsed()))
            return False
        self._tell(Step("DNS", Verdict.OK, f"{host} is {', '.join(addresses)}", "", elapsed()))
        return True

    async def _dial(self, name: str, hop: Hop) -> bool:
        elapsed = stopwatch()
        try:
            with waiting_for(f"a connection to {Authority(hop.host, hop.port)}"):
                connection = await self._parts.hop_dialer.connect(hop)
        except PxError as error:
            self._tell(Step(name, Verdict.FAILED, error.cause, error.hint, elapsed()))
            return False
        connection.close()
        done = "the certificate is good" if hop.is_tls else "accepts connections"
        self._tell(Step(name, Verdict.OK, f"{Authority(hop.host, hop.port)}: {done}", "", elapsed()))
        return True

    async def ask(self) -> Offer | None:
        """Return what the upstream answers to a request without a login; None: no answer of HTTP."""
        elapsed, name = stopwatch(), self._hop.name
        try:
            with waiting_for(f"an answer of the {name}"):
                head = await self._send()
        except TimeoutError:
            cause, hint = f"The {name} accepts connections, but sent no answer.", ""
        except ClosedBeforeAnswerError as error:
            cause, hint = error.cause, error.hint
        except BadResponseError as error:
            cause, hint = error.cause, ""  # its hint is for the answer of a site
        except PxError as error:
            cause, hint = error.cause, error.hint
        except OSError as error:
            cause, hint = f"The {name} broke the connection: {error}.", ""
        else:
            offer = _read_offer(head)
            self._tell(Step("Offers", Verdict.OK, offer.text, "", elapsed()))
            if (date := head.value(b"date")) is not None:
                self._tell(self._compare_clocks(date.decode("latin-1"), offer))
            return offer
        self._tell(Step("Offers", Verdict.FAILED, cause, hint or _NO_HTTP, elapsed()))
        return None

    async def _send(self) -> ResponseHead:
        """Return the answer to the request."""
        exchanger = self._parts.exchanger
        connection = await self._parts.hop_dialer.connect(self._hop)
        try:
            timeout = _ANSWER_TIMEOUTS * exchanger.socktimeout
            connection.stream.deadline = exchanger.io_loop.now() + timeout
            await connection.stream.write(format_request(self._request))
            head = await connection.read_response(self._request.method)
            while head.is_interim:
                head = await connection.read_response(self._request.method)
            return head
        finally:
            connection.close()

    def _compare_clocks(self, date: str, offer: Offer) -> Step:
        now = self._wall_clock()
        try:
            ahead = now - parsedate_to_datetime(date).timestamp()
        except ValueError:
            return Step("Clock", Verdict.SKIPPED, "the upstream sends no date that Px can read")
        if abs(ahead) < _SAME_SECONDS:
            return Step("Clock", Verdict.OK, "this computer's clock agrees with that of the upstream")
        said = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} that of the upstream"
        if abs(ahead) <= MAX_SKEW_SECONDS:
            return Step("Clock", Verdict.OK, f"this computer's clock is {said}")
        detail = f"this computer's clock is {said}: Kerberos and NTLM allow {MAX_SKEW_SECONDS / 60:.0f} min"
        matters = _TIMED_SCHEMES.intersection(offer.schemes or ())
        verdict = Verdict.FAILED if matters else Verdict.WARNING
        return Step("Clock", verdict, detail, "Set this computer's clock (NTP).")


def _read_offer(head: ResponseHead) -> Offer:
    if head.status != _LOGIN_REQUIRED:
        return Offer(None, f"no login is wanted: {head.status} {head.reason.decode('latin-1')}".rstrip())
    challenges = parse_challenges(head.values(b"proxy-authenticate"))
    names = dict.fromkeys(challenge.scheme for challenge in challenges)
    text = ", ".join(SCHEME_NAMES.get(name, name) for name in names) or "a login by no scheme"
    return Offer(frozenset(names), text)
