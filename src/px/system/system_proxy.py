"""The proxy settings of this system: the place where its users make them, else the environment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from px.core.proxy_settings import ProxySettings
from px.system.settings_draft import IsPxItself
from px.system.system_proxy_environment import load_environment

#: Desktops that keep their settings where GNOME does, by their names in ``XDG_CURRENT_DESKTOP``.
_LIKE_GNOME: Final = {"GNOME", "Unity", "X-Cinnamon", "Budgie", "MATE", "Pantheon", "XFCE"}


def load_proxy_settings(environ: Mapping[str, str], is_px_itself: IsPxItself) -> ProxySettings | None:
    """Return what the system says about the proxy to use, else what the environment says.

    Blocks for seconds at most, while tools of the system answer. What cannot be read is logged.

    Args:
        environ: Variables of the environment.
        is_px_itself: Whether Px listens on a host, as written, and port: what points there is dropped.

    Returns:
        The settings, by which there is at least one way; None where nobody says anything.

    Raises:
        TimeoutError: A tool does not answer.
    """
    return next(filter(None, _load_all(environ, is_px_itself)), None)


def _load_all(environ: Mapping[str, str], is_px_itself: IsPxItself) -> Iterator[ProxySettings | None]:
    """Yield the settings of one place after the other, read when asked for."""
    if sys.platform == "win32":
        from px.system.system_proxy_windows import load_windows  # noqa: PLC0415 - one of these

        yield load_windows(is_px_itself)
    elif sys.platform == "darwin":
        from px.system.system_proxy_macos import load_macos  # noqa: PLC0415

        yield load_macos(environ, is_px_itself)
    else:
        for load in _desktops(environ):
            yield load(environ, is_px_itself)
    yield load_environment(environ, is_px_itself)


def _desktops(environ: Mapping[str, str]) -> Iterator[Callable[..., ProxySettings | None]]:
    """Yield how the settings of desktops are read: of the one that runs, or of both where none does.

    A service knows no desktop, and many window managers have no settings of their own.
    """
    from px.system.system_proxy_gnome import load_gnome  # noqa: PLC0415 - not on Windows
    from px.system.system_proxy_kde import load_kde  # noqa: PLC0415

    names = set(environ.get("XDG_CURRENT_DESKTOP", "").split(":"))
    if "KDE" not in names:
        yield load_gnome
    if not names & _LIKE_GNOME:
        yield load_kde
