"""Helpers for the tests of the system's proxy settings."""

from __future__ import annotations

from collections.abc import Mapping

from px.core.rules.proxy_settings import ProxySettings

#: Where Px listens in these tests.
OWN = {("127.0.0.1", 3128), ("localhost", 3128), ("::1", 3128)}


def is_px_itself(host: str, port: int) -> bool:
    return (host, port) in OWN


def shown(settings: ProxySettings) -> Mapping[str, str]:
    """Return the upstreams by scheme, as texts."""
    return {scheme: ",".join(map(str, found)) for scheme, found in settings.upstreams.items()}
