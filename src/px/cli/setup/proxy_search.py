"""Which proxy ``px --setup`` sets up: the given one, else one that is found, else the answer of the user."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from px.checks.fresh_px import running_fresh_px
from px.checks.own_checks import check_source
from px.checks.step import Step, Verdict
from px.cli.setup.screen import SetupFailedError
from px.core.rules.pac_location import shorten_location
from px.core.rules.route import format_upstreams
from px.core.rules.upstream_list import is_script_location
from px.core.startup_errors import ConfigError
from px.system.process.waiting import waiting_for
from px.system.state.installation import state_directory

if TYPE_CHECKING:
    from px.cli.setup.questions import Questions
    from px.cli.setup.screen import Screen
    from px.config.invocation import Invocation
    from px.config.settings import Settings
    from px.core.rules.proxy_settings import ProxySettings
    from px.core.rules.route import UpstreamAddress
    from px.core.secret import Secret
    from px.routing.discovered_proxy import DiscoveredProxy

#: Returns what arguments ask for; raises ConfigError.
Load = Callable[[Sequence[str]], "Invocation"]

_NONE: Final = "none"
_ENVIRONMENT: Final = "environment"
_NAME_IT: Final = "Name the proxy with --proxy=HOST:PORT, or its script with --pac=URL."
_NONE_SET: Final = "none is set on this computer"
_SEVERAL_LOGINS: Final = (
    "warning: the proxies of the environment have different logins, so none of them is saved;"
    " --username names the user"
)
_FOR_GOOD: Final = (
    "The answer none means that Px connects directly in every network. If this computer also works in a"
    " network with a proxy, name that proxy, or run --setup there."
)


class ProxySearch:
    """Searches a proxy.

    Args:
        invocation: What the user asked for.
        load: Returns what other arguments ask for.
        questions: Asks the user.
        screen: Shows why there is a question.

    Attributes:
        invocation: The same, with the options that name what was found; Px finds other proxies again.
        password: The password that a variable of the environment has for the proxy; None: it has none.
        text: What was found, and where.
    """

    def __init__(self, invocation: Invocation, load: Load, questions: Questions, screen: Screen) -> None:
        self.invocation = invocation
        self.password: Secret | None = None
        self.text = ""
        self._load = load
        self._questions = questions
        self._screen = screen

    def run(self) -> None:
        """Search.

        Raises:
            SetupFailedError: A proxy is named, but cannot be used.
        """
        self._drop_saved_source()
        settings = self.invocation.known_settings
        if settings.proxy or settings.pac or settings.noproxy.matches_everything:
            failure = check_source(settings)
            if failure is not None:
                raise SetupFailedError(failure)
            self.text = self._describe_given(settings)
            return
        with waiting_for("the proxy settings of this computer or network"):
            discovered = asyncio.run(_discover(settings))
        self._judge(settings, discovered)

    def _drop_saved_source(self) -> None:
        """Empty each option that would compete with the proxy or script of the command line."""
        flags = {name for name, one in self.invocation.given.items() if one.is_flag}
        if not flags & {"proxy", "pac"}:
            return
        settings = self.invocation.known_settings
        others = {
            "proxy": settings.proxy,
            "pac": settings.pac,
            "noproxy": settings.noproxy.matches_everything,
        }
        competing = [name for name, is_set in others.items() if is_set and name not in flags]
        if competing:
            self._add(*(f"--{name}=" for name in competing))

    def _judge(self, settings: Settings, discovered: DiscoveredProxy) -> None:
        found = discovered.settings
        if discovered.trouble:
            raise SetupFailedError(Step("Proxy", Verdict.FAILED, f"{discovered}.", _NAME_IT))
        if discovered.loaded is not None:
            location = shorten_location(discovered.loaded.location)
            self.text = f"PAC script {location}, found in {_place(discovered)}"
        elif found is not None and any(found.upstreams.values()):
            upstreams = dict.fromkeys(each for some in found.upstreams.values() for each in some)
            self.text = f"{format_upstreams(upstreams)}, found in {_place(discovered)}"
            if found.source == _ENVIRONMENT:
                self._keep(settings, found)
        else:
            self._ask(is_detected=discovered.is_detection_empty)

    def _keep(self, settings: Settings, found: ProxySettings) -> None:
        """Name what the environment of this shell names: it may be another one at the next login."""
        upstreams = found.upstreams_for("http"), found.upstreams_for("https")
        logins = {(each.username, each.password) for some in upstreams for each in some}
        flags = [f"--proxy={_format(*upstreams)}"]
        if found.bypass and not settings.noproxy:
            flags.append(f"--noproxy={found.bypass.text}")
        if not settings.username:
            username, password = logins.pop() if len(logins) == 1 else ("", None)
            if username:
                flags.append(f"--username={username}")
                self.password = password
            elif logins:  # Px logs in everywhere as the same user
                self._screen.note(_SEVERAL_LOGINS)
        self._add(*flags)

    def _ask(self, *, is_detected: bool) -> None:
        """Ask for the proxy where nothing names one, until the answer can be read.

        Raises:
            SetupFailedError: Nobody can be asked: without a proxy, Px would look for none in any network.
        """
        if not self._questions.is_silent:
            self._screen.show("Proxy", f"{_NONE_SET}; if your browser has one, name it here.")
            if not is_detected:
                self._screen.show("", _FOR_GOOD)
        elif not is_detected:
            fix = f"{_NAME_IT} If there is none in any network, give --noproxy=*"
            raise SetupFailedError(Step("Proxy", Verdict.FAILED, f"{_NONE_SET}.", fix))
        while True:
            answer = self._questions.ask("Proxy (HOST:PORT, or the URL of a PAC script)", _NONE)
            if answer.lower() == _NONE:
                self.text = "none: Px connects to all sites directly"
                if not is_detected:  # else a network may name one later
                    self._add("--noproxy=*")
                return
            try:
                self._add(f"--{'pac' if is_script_location(answer) else 'proxy'}={answer}")
            except ConfigError as error:
                self._screen.note(str(error))
            else:
                self.text = self._describe(self.invocation.known_settings)
                return

    def _add(self, *flags: str) -> None:
        self.invocation = self._load(["--setup", *self.invocation.flags, *flags])

    def _describe_given(self, settings: Settings) -> str:
        names = "noproxy" if settings.noproxy.matches_everything else "proxy" if settings.proxy else "pac"
        given = self.invocation.given.get(names)
        by = given.key if given is not None else self.invocation.config_file
        return f"{self._describe(settings)}, given by {by}"

    def _describe(self, settings: Settings) -> str:
        if settings.noproxy.matches_everything:
            return "none: Px connects to all sites directly"
        return format_upstreams(settings.proxy) or f"PAC script {shorten_location(settings.pac)}"


async def _discover(settings: Settings) -> DiscoveredProxy:
    """Return what the system's settings, the network and the environment name."""
    async with running_fresh_px(settings, state_directory()) as (px, _):
        discovery = px.parts.discovery
        assert discovery is not None  # noqa: S101 - the settings name no upstream
        return await discovery.settle()


def _place(discovered: DiscoveredProxy) -> str:
    return f"the {discovered.source}" if discovered.source == _ENVIRONMENT else discovered.source


def _format(http: tuple[UpstreamAddress, ...], https: tuple[UpstreamAddress, ...]) -> str:
    """Return upstreams as ``--proxy`` takes them, without logins; those of one scheme count for both."""
    texts = [",".join(map(str, upstreams)) for upstreams in (http or https, https or http)]
    if texts[0] == texts[1]:
        return texts[0]
    return ",".join(_keyed("http", http)) + "," + ",".join(_keyed("https", https))


def _keyed(scheme: str, upstreams: tuple[UpstreamAddress, ...]) -> Iterator[str]:
    return (f"{scheme}={each}" for each in upstreams)
