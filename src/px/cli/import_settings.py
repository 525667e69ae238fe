"""``px --import``: takes over the settings of another program and says what became of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from px.cli.invocation import settings_of
from px.cli.terminal import EXIT_OK, announce, print_message, print_warnings

if TYPE_CHECKING:
    from px.config.imports.importer import Import
    from px.config.invocation import Invocation


def import_settings(invocation: Invocation) -> int:
    """Import what the action names; return the exit code."""
    from px.config.imports import importer  # noqa: PLC0415

    place, settings = invocation.action_value, settings_of(invocation)
    found = importer.import_settings(place, os.environ, Path.cwd(), invocation, settings)
    announce("\n".join([f"{found.source}: read as {found.kind}", *(f"  {line}" for line in found.shown)]))
    for note in found.notes:
        print_message(note)
    print_warnings(found.warnings)
    announce(
        "\n".join(
            [f"Saved to {invocation.config_file}", *_name_reach(invocation), *_next_steps(invocation, found)]
        )
    )
    return EXIT_OK


def _name_reach(invocation: Invocation) -> Iterator[str]:
    """Yield where Px uses the file, if Px uses it in the working directory only."""
    from px.config.files import default_config_dirs  # noqa: PLC0415

    ini = invocation.config_file
    directories = default_config_dirs()
    if ini is None or "config" in invocation.given or ini.parent in directories:
        return
    yield "Px uses this file only when it starts in this directory. To use it anywhere,"
    yield f"move it to {directories[0] / ini.name}"


def _next_steps(invocation: Invocation, found: Import) -> Iterator[str]:
    """Yield the commands that make the imported settings work."""
    config = f" --config={invocation.config_file}" if "config" in invocation.given else ""
    for user in found.password_users:
        option = f' --username="{user}"' if user else ""
        yield f"Next: px --password{option}{config}"
    yield f"Then: px --test{config}" if found.password_users else f"Next: px --test{config}"
