"""Which way a request would take: the source of upstreams, the PAC script, the routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from px.checks.login_test import CHECK_ADDRESS
from px.checks.step import Step, Verdict, stopwatch
from px.checks.step_teller import StepTeller
from px.core.errors import PacError, PxError
from px.core.rules.pac_location import hide_query
from px.core.rules.route import Direct, Route, format_upstreams
from px.routing.discovered_proxy import DiscoveredProxy, url_for_script
from px.system.process.waiting import waiting_for

if TYPE_CHECKING:
    from px.app.px import PxParts
    from px.config.settings import Settings
    from px.core.http.request_head import RequestHead


async def check_routes(
    settings: Settings, parts: PxParts, request: RequestHead, teller: StepTeller
) -> Sequence[Route]:
    """Return the routes of a request; none if the request would fail.

    Args:
        settings: The settings of Px.
        parts: Of a running Px with these settings.
        request: The request.
        teller: Takes the steps.
    """
    elapsed = stopwatch()
    try:
        with waiting_for("the proxy settings of this computer or network"):
            routes = await parts.router.routes_for(request, is_from_here=True)
    except PxError as error:
        name = "PAC" if isinstance(error, PacError) else "Proxy"
        teller.tell(Step(name, Verdict.FAILED, error.cause, error.hint, elapsed()))
        return ()
    discovered = parts.discovery.discovered if parts.discovery is not None else None
    step = _describe(settings, discovered, request, routes)
    if discovered is not None and discovered.trouble and discovered.script is None:
        teller.tell_doubtful(step)  # without the script requests go directly, and may fail
    else:
        teller.tell(step)
    if discovered is not None and discovered.script is not None:
        teller.tell(await _ask_script(discovered, request))
    return routes


def _describe(
    settings: Settings, discovered: DiscoveredProxy | None, request: RequestHead, routes: Sequence[Route]
) -> Step:
    if discovered is not None and settings.pac and discovered.trouble and discovered.script is None:
        detail = f"{discovered.trouble} So requests go directly."
        return Step("PAC", Verdict.WARNING, detail, discovered.remedy or CHECK_ADDRESS)
    source, trouble = f"{format_upstreams(settings.proxy)}, from the configuration", ""
    if discovered is not None:
        source, trouble = str(discovered), discovered.trouble
    directly = next((route for route in routes if isinstance(route, Direct)), None)
    if directly is not None and len(routes) == 1:
        host = request.authority.host
        source = f"none for {host}, which is reached directly: {directly.why or source}"
    if trouble:
        fix = "Name the company's proxy with --proxy, or its script with --pac."
        return Step("Proxy", Verdict.WARNING, source, fix)
    return Step("Proxy", Verdict.OK, source)


async def _ask_script(discovered: DiscoveredProxy, request: RequestHead) -> Step:
    """Return the step of a PAC script; one that the user did not name may fail without harm."""
    script, elapsed = discovered.script, stopwatch()
    assert script is not None  # noqa: S101 - the caller has looked
    try:
        answer = await script.find_routes(url_for_script(request), request.authority.host)
    except PacError as error:
        detail = f"{error.cause} Px goes on without the script."
        return Step("PAC", Verdict.WARNING, detail, error.hint, elapsed())
    said = repr(answer.text) if answer.text else "nothing, which means directly"
    return Step("PAC", Verdict.OK, f"for {hide_query(answer.url)} the script answers {said}", "", elapsed())
