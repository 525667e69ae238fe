"""The proxy settings of a system, or of the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from px.core.rules.host_rules import HostRules
from px.core.rules.route import UpstreamAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """The proxy settings of one place. If several fields name a proxy, the first of them counts.

    Attributes:
        source: The place, for people: ``Windows Internet Options``, ``GNOME settings``, ``environment``.
        is_auto_detected: Whether to ask the network for a PAC script (WPAD).
        pac: The location of a PAC script; empty for none.
        upstreams: Scheme of a URL (``https`` for a CONNECT) -> upstreams in order. The empty key is for all
            schemes without a key of their own. A scheme with an empty list is reached directly.
        bypass: Targets that are reached directly, if `upstreams` decides.
        skipped: Why entries were skipped, a text for each.
    """

    source: str
    is_auto_detected: bool = False
    pac: str = ""
    upstreams: Mapping[str, tuple[UpstreamAddress, ...]] = field(default_factory=dict)
    bypass: HostRules = field(default_factory=HostRules)
    skipped: tuple[str, ...] = field(default=(), compare=False)

    def upstreams_for(self, scheme: str) -> tuple[UpstreamAddress, ...]:
        """Return the upstreams for URLs of a scheme; empty if they are reached directly."""
        return self.upstreams.get(scheme, self.upstreams.get("", ()))

    def __bool__(self) -> bool:
        """Return whether the settings name a proxy or a script, or ask for detection."""
        return self.is_auto_detected or bool(self.pac) or any(self.upstreams.values())
