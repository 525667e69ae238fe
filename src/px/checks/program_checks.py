"""Whether programs use Px: the variables of this shell, and the settings of git, npm and pip."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from px.app.proxy_discovery import make_px_check, planned_addresses
from px.checks.program_settings import ProxySetting, find_tool_settings, find_variables
from px.checks.proxy_url import read_proxy
from px.checks.step import Step, Verdict
from px.core.http.target import Authority
from px.core.rules.host_rules import HostRules
from px.system.proxy_settings.environment import find_variable

if TYPE_CHECKING:
    from px.config.settings import Settings

_NAME: Final = "Programs"
_POINT: Final = "px --env prints the settings that point programs at Px."
_SOCKS_SCHEMES: Final = frozenset(("socks5", "socks5h"))
_MISSING: Final = "is not set in this shell, so half of the requests of its programs miss Px"


class ProgramCheck:
    """Checks the settings of programs.

    Args:
        settings: The settings of Px.
        environ: The environment of this shell.
        site: The target of a request that programs may send.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], site: Authority) -> None:
        self._settings = settings
        self._environ = environ
        self._site = site
        self._is_px = make_px_check(planned_addresses(settings))

    def run(self) -> Iterator[Step]:
        """Yield a step for the variables of this shell, and one for each tool with a setting of its own.

        Blocks as `find_tool_settings` does.
        """
        variables = list(find_variables(self._environ))
        yield self._judge_first(variables) or self._judge_variables(variables)
        tools: dict[str, list[ProxySetting]] = {}
        for setting in find_tool_settings(self._environ):
            tools.setdefault(setting.program, []).append(setting)
        for program, found in tools.items():
            names = " and ".join(setting.name for setting in found)
            good = Step(program, Verdict.OK, f"{names} of {program} points at Px")
            yield self._judge_first(found) or good

    def _judge_first(self, found: Sequence[ProxySetting]) -> Step | None:
        """Return the step of the first setting that does not lead to Px; None: all do."""
        return next(filter(None, map(self._judge, found)), None)

    def _judge(self, setting: ProxySetting) -> Step | None:
        scheme, authority = read_proxy(setting.value)
        if authority is None or not self._is_px(authority):
            return _make_warning(setting, f"{scheme}://{authority}" if authority else "no URL of a proxy")
        fault = self._find_fault(scheme, authority)
        if not fault:
            return None
        fix = f"Set {setting.name} to http://{Authority(authority.host, self._settings.port)}."
        return Step(setting.program or _NAME, Verdict.FAILED, f"{setting.name} {fault}", fix)

    def _find_fault(self, scheme: str, authority: Authority) -> str:
        """Return what is wrong with the URL of a port of Px, as the end of a sentence."""
        if authority.port == self._settings.socks:
            by = "" if scheme in _SOCKS_SCHEMES else scheme
            return by and f"begins with {by}://, but Px speaks SOCKS5 on port {authority.port}"
        if authority.port != self._settings.port:
            return f"names port {authority.port}, a static tunnel of Px (--tunnel), which is no proxy"
        return "" if scheme == "http" else f"begins with {scheme}://, but programs speak plain HTTP to Px"

    def _judge_variables(self, found: Sequence[ProxySetting]) -> Step:
        """Return the step of variables that all point at Px."""
        names = [setting.name for setting in found]
        known = {name.lower() for name in names}
        if not known:
            detail = "http_proxy and https_proxy are not set in this shell: its programs do not use Px"
            return Step(_NAME, Verdict.WARNING, f"{detail} unless their own settings name it", _POINT)
        for name in ("http_proxy", "https_proxy"):
            if name not in known and "all_proxy" not in known:
                return Step(_NAME, Verdict.WARNING, f"{name} {_MISSING}", _POINT)
        if sys.platform != "win32" and "HTTP_PROXY" in names and "http_proxy" not in names:
            detail = "HTTP_PROXY is set in this shell and http_proxy is not: curl and others do not read it"
            return Step(_NAME, Verdict.WARNING, detail, _POINT)
        if why := self._explain_bypass():
            return Step(
                _NAME, Verdict.WARNING, why, "Change no_proxy: it names what programs reach without Px."
            )
        return Step(_NAME, Verdict.OK, f"{', '.join(names)} in this shell point at Px")

    def _explain_bypass(self) -> str:
        """Return why programs miss Px although their proxy is Px; empty: nothing says so."""
        name, value = find_variable(self._environ, "no_proxy")
        rules, host = HostRules.parse_readable(value), self._site.host
        if rules.matches_everything:
            return f"{name} in this shell names everything: its programs do not use Px"
        if rules.matches_name(host, self._site.port):
            return f"{name} in this shell names {host}: its programs do not use Px for this site"
        return ""


def _make_warning(setting: ProxySetting, shown: str) -> Step:
    """Return the step of a setting that names another proxy than Px."""
    program, name = setting.program, setting.name
    if program:
        detail = f"{name} of {program} is {shown}, and not Px: {program} does not use Px"
        return Step(
            program, Verdict.WARNING, detail, f"px --env={program} prints what points {program} at Px."
        )
    detail = f"{name} in this shell is {shown}, and not Px: its programs do not use Px"
    return Step(_NAME, Verdict.WARNING, detail, _POINT)
