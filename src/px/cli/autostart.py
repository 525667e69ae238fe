"""Makes Px start when the user logs in to this computer, or no longer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from px.cli.terminal import print_answer, print_warnings

if TYPE_CHECKING:
    from px.config.settings import Invocation


def install_autostart(invocation: Invocation) -> int:
    """Have the system start Px when the user logs in."""
    from px.system.autostart.install import find_autostart, install, make_own_start  # noqa: PLC0415

    print_warnings(list(_warn_of_unsaved(invocation)))
    start = make_own_start(invocation.config_file)
    return print_answer(install(find_autostart(), start, replaces="force" in invocation.switches))


def _warn_of_unsaved(invocation: Invocation) -> Iterator[str]:
    from px.config.files import INI_NAME, default_config_dirs  # noqa: PLC0415

    given = [one for one in invocation.given.values() if one.option.name != "config"]
    flags = ", ".join(one.key for one in given if one.is_flag)
    outside = ", ".join(one.key for one in given if not one.is_flag)
    if flags:
        yield f"{flags}: --install does not save options; at login Px uses px.ini, which --save writes"
    if outside:
        yield f"{outside}: the environment at login may differ; make sure that this is set there"
    if invocation.config_file is None:
        path = default_config_dirs()[0] / INI_NAME
        yield f"no px.ini is in use, so at login Px will look for {path}; --config={path} --save creates it"


def uninstall_autostart(_: Invocation) -> int:
    """Undo `install_autostart`."""
    from px.system.autostart.install import find_autostart, uninstall  # noqa: PLC0415

    return print_answer(uninstall(find_autostart()))
