"""What was found out about the way: by a PAC script, by a system's settings, or that there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from px.core.head import RequestHead
from px.core.pac_location import shorten_location
from px.core.proxy_settings import ProxySettings
from px.routing.pac_engine import PacAnswer
from px.routing.pac_source import LoadedPac


class Script(Protocol):
    """A PAC script, ready to be asked; `px.routing.pac_engine.PacScript` is one."""

    async def find_routes(self, url: str, host: str) -> PacAnswer:
        """Return what the script says.

        Raises:
            PacError: It failed.
        """

    def forget(self) -> None:
        """Forget what it said: the network has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Where the way was found.

    Attributes:
        source: Who names it, for people; empty: nobody.
        script: The PAC script that decides; None: `settings` do.
        loaded: The script as it was loaded.
        settings: The settings of the system or the environment, whose `upstreams` decide without a script.
        trouble: What could not be had, and why; empty: nothing.
        is_left_behind: Whether the script is that of another network, and could not be had in this one.
    """

    source: str = ""
    script: Script | None = None
    loaded: LoadedPac | None = None
    settings: ProxySettings | None = None
    trouble: str = ""
    is_left_behind: bool = False

    @property
    def is_vain(self) -> bool:
        """Whether a script was looked for in the network, and there is none, or none yet."""
        return self.settings is not None and self.settings.is_auto_detected and self.script is None

    def __str__(self) -> str:
        said = f"{self.source}: {self._say_way()}" if self.source else "no proxy is set anywhere"
        if self.is_left_behind:
            said += ", of another network, and then directly"
        return f"{said} ({self.trouble})" if self.trouble else said

    def _say_way(self) -> str:
        if self.loaded is not None:
            return f"PAC script {shorten_location(self.loaded.location)}"
        upstreams = self.settings.upstreams.values() if self.settings is not None else ()
        return ", ".join(dict.fromkeys(str(each) for some in upstreams for each in some)) or "directly"


def url_for_script(request: RequestHead) -> str:
    """Return the URL that a PAC script may see of a request; a CONNECT counts as https."""
    scheme = scheme_of(request).encode("ascii")
    authority = request.authority.to_host_field(scheme)
    path = request.origin_target if request.origin_target.startswith(b"/") else b"/"
    return (scheme + b"://" + authority + path).decode("ascii")


def scheme_of(request: RequestHead) -> str:
    """Return the scheme of a request's URL, ``https`` for a CONNECT."""
    if request.method == b"CONNECT":
        return "https"
    return request.scheme.decode("ascii") or "http"
