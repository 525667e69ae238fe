"""What a system, or the environment, says about the proxy to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from px.core.hostrules import HostRules
from px.core.route import UpstreamAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """The proxy settings of one place; of several ways the one whose field comes first is taken.

    Attributes:
        source: The place, for people: ``Windows Internet Options``, ``GNOME settings``, ``environment``.
        is_auto_detected: Whether a PAC script is to be looked for in the network (WPAD).
        pac: Location of a PAC script, empty: none.
        upstreams: Scheme of a URL (``https`` for a CONNECT) -> upstreams in order; under the empty text those
            of every scheme that is not named. A scheme that is named with none is reached directly.
        bypass: Targets that are reached directly, where `upstreams` decides.
    """

    source: str
    is_auto_detected: bool = False
    pac: str = ""
    upstreams: Mapping[str, tuple[UpstreamAddress, ...]] = field(default_factory=dict)
    bypass: HostRules = field(default_factory=HostRules)

    def upstreams_for(self, scheme: str) -> tuple[UpstreamAddress, ...]:
        """Return the upstreams for URLs of a scheme; none: they are reached directly."""
        return self.upstreams.get(scheme, self.upstreams.get("", ()))

    def __bool__(self) -> bool:
        """Whether any way is given at all."""
        return self.is_auto_detected or bool(self.pac) or any(self.upstreams.values())
