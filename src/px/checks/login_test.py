"""``px --test``: a GET and a CONNECT through Px, and who logged in at which upstream for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from px.checks.px_client import PxAnswer, ask_px
from px.checks.step import Step, Tell, Verdict, make_skipped
from px.checks.target import SiteRequests
from px.core.http.request_head import RequestHead
from px.core.http.target import Authority
from px.core.trace.access_record import show_target
from px.system.process.waiting import waiting_for

_FORBIDDEN, _LOGIN_REQUIRED, _SERVER_ERROR = 403, 407, 500
_IN_USE: Final = "in use"
OTHER_SITE: Final = (
    "Try another site, as in --test=http://www.example.org/; --doctor and --setup take one, too."
)


#: What the hint of an error says before the reason why Px did without its PAC script.
_TRIED_DIRECTLY: Final = "Px tried it directly: "
_SCRIPT_FAILED: Final = "The PAC script "
CHECK_ADDRESS: Final = "Check this address of the script."


@dataclass(frozen=True, slots=True)
class PxUnderTest:
    """The Px that a test goes through.

    Attributes:
        detail: Which Px that is, for users.
        address: Where it listens.
        read_status: Returns its state; see `px.processes.status`.
    """

    detail: str
    address: Authority
    read_status: Callable[[], Mapping[str, Any]]


async def run_login_test(px: PxUnderTest, requests: SiteRequests, tell: Tell) -> None:
    """Tell the steps of a test.

    Args:
        px: The Px to test.
        requests: To send.
        tell: Takes the steps.
    """
    tell(Step("Px", Verdict.OK, px.detail))
    if await send_requests(px, requests, tell):
        tell_logins(px, tell)


async def send_requests(px: PxUnderTest, requests: SiteRequests, tell: Tell) -> bool:
    """Tell the steps of two requests; return whether Px could pass the GET on.

    If not, there is no CONNECT: it might cost another login.

    Args:
        px: The Px that the requests go through.
        requests: To send.
        tell: Takes the steps.
    """
    get = await _ask(px, requests.get)
    tell(_judge(requests.get, get))
    if get.cause:
        tell(make_skipped("CONNECT", "the GET"))
        return False
    tell(_judge(requests.connect, await _ask(px, requests.connect)))
    return True


async def _ask(px: PxUnderTest, request: RequestHead) -> PxAnswer:
    target = show_target(request.target)
    with waiting_for(f"the answer to {request.method.decode('ascii')} {target}"):
        return await ask_px(px.address, request)


def tell_logins(px: PxUnderTest, tell: Tell) -> None:
    """Tell who is logged in at each upstream that Px has used."""
    for upstream in px.read_status()["upstreams"]:
        if upstream["state"] == _IN_USE:
            tell(_describe_login(upstream))


def _judge(request: RequestHead, answer: PxAnswer) -> Step:
    """Return the step of one request."""
    name, target = request.method.decode("ascii"), show_target(request.target)
    said = f"{target}: {answer.status} {answer.reason}".rstrip()
    if answer.cause:
        _, _, reason = answer.hint.partition(_TRIED_DIRECTLY)
        if reason.startswith(_SCRIPT_FAILED):  # what follows from that is no advice
            detail = f"{reason} Px tried the site directly: {said}. {answer.cause}"
            return Step(name, Verdict.FAILED, detail, CHECK_ADDRESS, answer.seconds)
        return Step(name, Verdict.FAILED, f"{said}. {answer.cause}", answer.hint, answer.seconds)
    if answer.status == _LOGIN_REQUIRED:
        fix = "Allow Px to log in: leave out --auth=NONE."
        return Step(name, Verdict.FAILED, f"{said}. The upstream wants a login.", fix, answer.seconds)
    is_tunnel_refused = request.method == b"CONNECT" and answer.status // 100 != 2  # noqa: PLR2004
    if is_tunnel_refused or answer.status == _FORBIDDEN or answer.status >= _SERVER_ERROR:
        cause = "Px passed this answer on: a rule of the upstream, or the site itself, is the cause."
        return Step(name, Verdict.FAILED, f"{said}. {cause}", OTHER_SITE, answer.seconds)
    return Step(name, Verdict.OK, said, "", answer.seconds)


def _describe_login(upstream: Mapping[str, Any]) -> Step:
    """Return the step of the login at an upstream, an entry of ``upstreams`` of a status."""
    name = upstream["upstream"]
    if upstream["has_logged_in"]:
        return Step("Login", Verdict.OK, f"as {upstream['identity']} by {upstream['method']} at {name}")
    return Step("Login", Verdict.OK, f"none: {name} has accepted no login of Px, or asked for none")
