"""The result of proxy discovery: a PAC script, the proxies of the system's settings, or no proxy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from px.core.http.request_head import RequestHead
from px.core.rules.pac_location import shorten_location
from px.core.rules.proxy_settings import ProxySettings
from px.routing.pac.engine import PacAnswer
from px.routing.pac.source import LoadedPac

_DIRECTLY = "directly"


class Script(Protocol):
    """A PAC script that can answer requests; `px.routing.pac.engine.PacScript` is one."""

    async def find_routes(self, url: str, host: str) -> PacAnswer:
        """Return the script's answer for a request.

        Raises:
            PacError: The script failed.
        """

    async def prepare(self) -> None:
        """Load the script before the first request. If loading fails, the first request reports the error."""

    def forget(self) -> None:
        """Forget all kept answers, because the network has changed."""

    def close(self) -> None:
        """Release the script's process once all pending requests have their answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveredProxy:
    """The place that names the proxy, and what that place says.

    Attributes:
        source: The place's name, for people; empty if no place names a proxy.
        script: The PAC script that chooses the routes; None if `settings` choose them.
        loaded: The script as it was loaded.
        settings: The settings of the system or the environment. Without a script, their `upstreams` are used.
        trouble: What could not be read or loaded, and why; empty if nothing failed.
        remedy: What to do about the trouble: a sentence, or empty.
        is_from_other_network: Whether the script was loaded in another network, and could not be loaded in
            this one.
    """

    source: str = ""
    script: Script | None = None
    loaded: LoadedPac | None = None
    settings: ProxySettings | None = None
    trouble: str = ""
    remedy: str = ""
    is_from_other_network: bool = False

    @property
    def is_named(self) -> bool:
        """Whether the user named the PAC script. Px then reports the script's failures as errors."""
        return self.settings is None

    @property
    def is_detection_empty(self) -> bool:
        """Whether automatic detection is on and has found no script, or none yet."""
        return self.settings is not None and self.settings.is_auto_detected and self.script is None

    def __str__(self) -> str:
        text = f"{self.source}: {self._describe_route()}" if self.source else "no proxy is set anywhere"
        if self.is_from_other_network:
            text += ", which was loaded in another network, and then directly"
        return f"{text} ({self.trouble})" if self.trouble else text

    def describe(self) -> str:
        """Return what names which proxy, to follow the word "upstream"."""
        if not self.source:
            return "none: no proxy is set anywhere"
        route = self._describe_route()
        source = f"the {self.source}" if self.source == "environment" else self.source
        return f"from {source}: {'none, requests go directly' if route == _DIRECTLY else route}"

    def describe_meanwhile(self) -> str:
        """Return a sentence about what requests do while there is trouble."""
        route = self._describe_route()
        return f"Meanwhile requests go {'directly' if route == _DIRECTLY else f'by {route}'}."

    def _describe_route(self) -> str:
        if self.loaded is not None:
            return f"PAC script {shorten_location(self.loaded.location)}"
        upstreams = self.settings.upstreams.values() if self.settings is not None else ()
        return ", ".join(dict.fromkeys(str(each) for some in upstreams for each in some)) or _DIRECTLY


def url_for_script(request: RequestHead) -> str:
    """Return the URL that a PAC script may see for a request; a CONNECT counts as https."""
    scheme = scheme_of(request).encode("ascii")
    authority = request.authority.to_host_field(scheme)
    path = request.origin_target if request.origin_target.startswith(b"/") else b"/"
    return (scheme + b"://" + authority + path).decode("ascii")


def scheme_of(request: RequestHead) -> str:
    """Return the scheme of a request's URL, ``https`` for a CONNECT."""
    if request.method == b"CONNECT":
        return "https"
    return request.scheme.decode("ascii") or "http"
