"""Reads the proxy settings of this system; if it has none, those of the environment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from px.core.rules.proxy_settings import ProxySettings
from px.system.proxy_settings.builder import IsPxItself
from px.system.proxy_settings.environment import load_environment

#: Names in ``XDG_CURRENT_DESKTOP`` of the desktops that keep their settings where GNOME does.
_LIKE_GNOME: Final = {"GNOME", "Unity", "X-Cinnamon", "Budgie", "MATE", "Pantheon", "XFCE"}


def load_proxy_settings(environ: Mapping[str, str], is_px_itself: IsPxItself) -> ProxySettings | None:
    """Return the proxy settings of the system, else those of the environment; None if neither has a proxy.

    Blocks for seconds at most, while tools of the system answer. Px logs what it cannot read.

    Args:
        environ: Environment variables.
        is_px_itself: Whether an address is that of Px; settings that name Px itself are dropped.

    Raises:
        TimeoutError: A tool does not answer.
    """
    return next(filter(None, _load_all(environ, is_px_itself)), None)


def _load_all(environ: Mapping[str, str], is_px_itself: IsPxItself) -> Iterator[ProxySettings | None]:
    """Yield the settings of each source; a source is read only when its turn comes."""
    if sys.platform == "win32":
        from px.system.proxy_settings.windows import load_windows  # noqa: PLC0415 - one of these

        yield load_windows(is_px_itself)
    elif sys.platform == "darwin":
        from px.system.proxy_settings.macos import load_macos  # noqa: PLC0415

        yield load_macos(environ, is_px_itself)
    else:
        for load in _desktops(environ):
            yield load(environ, is_px_itself)
    yield load_environment(environ, is_px_itself)


def _desktops(environ: Mapping[str, str]) -> Iterator[Callable[..., ProxySettings | None]]:
    """Yield the loader of the desktop that runs, or both loaders if no known desktop runs.

    A service does not know the desktop, and many window managers have no settings of their own.
    """
    from px.system.proxy_settings.gnome import load_gnome  # noqa: PLC0415 - not on Windows
    from px.system.proxy_settings.kde import load_kde  # noqa: PLC0415

    names = set(environ.get("XDG_CURRENT_DESKTOP", "").split(":"))
    if "KDE" not in names:
        yield load_gnome
    if not names & _LIKE_GNOME:
        yield load_kde
