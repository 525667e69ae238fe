"""The proxy settings of this system: the place where its users make them, else the environment."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from px.core.proxy_settings import ProxySettings
from px.system.settings_draft import IsPxItself
from px.system.system_proxy_environment import load_environment


def load_proxy_settings(environ: Mapping[str, str], is_px_itself: IsPxItself) -> ProxySettings | None:
    """Return what the system says about the proxy to use, else what the environment says.

    Blocks for seconds at most, while tools of the system answer. What cannot be read is logged.

    Args:
        environ: Variables of the environment.
        is_px_itself: Whether Px listens on a host, as written, and port: what points there is dropped.

    Returns:
        The settings, by which there is at least one way; None where nobody says anything.
    """
    return next(filter(None, _load_all(environ, is_px_itself)), None)


def _load_all(environ: Mapping[str, str], is_px_itself: IsPxItself) -> Iterator[ProxySettings | None]:
    """Yield the settings of one place after the other, read when asked for."""
    if sys.platform == "win32":
        from px.system.system_proxy_windows import (  # noqa: PLC0415 - one of the three
            load_internet_options,
            parse_internet_options,
        )

        options = load_internet_options()
        yield parse_internet_options(options, is_px_itself) if options else None
    yield load_environment(environ, is_px_itself)
