"""Writes docs/setup.svg, a picture of a terminal, from a run of ``px --setup`` at a real Squid.

Run it after a change of what ``px --setup`` shows, as ``python -m scripts.write_setup_svg``.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Final

from scripts.terminal_svg import format_svg
from tests.corpnet.network import CorporateNetwork
from tests.e2e.exchanges import HOST
from tests.e2e.newcomer import environment_of, set_up_bob
from tests.px_process import DEFAULT_PORT, PxProcess
from tests.secret_service import dbus_session

SVG: Final = Path(__file__).resolve().parent.parent / "docs" / "setup.svg"
_COLUMNS: Final = 80


def mask(shown: str, network: CorporateNetwork, px: PxProcess) -> str:
    """Return what a terminal shows with the same ports and times for each run, and without waits."""
    shown = shown.replace(f"{HOST}:{network.origin.port}/", f"{HOST}/")
    shown = shown.replace(f"{HOST}:{network.origin.port}", f"{HOST}:443")
    shown = shown.replace(f" --port={px.port}", "").replace(str(px.port), str(DEFAULT_PORT))
    shown = shown.replace(f"localhost:{network.ntlm.port}", "localhost:8080")
    return re.sub("Waiting for .*\n", "", re.sub(r"\([0-9.]+ m?s\)", "(20 ms)", shown))


def format_setup(shown: str) -> str:
    """Return the picture of a set-up that shows this."""
    return format_svg(f"px --setup=http://{HOST}/", shown, name="setup", columns=_COLUMNS)


def main() -> None:
    """Write the picture."""
    with CorporateNetwork() as network, tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with dbus_session(directory / "session") as session, session.gnome_keyring():
            px = PxProcess(directory, environment=environment_of(session, directory))
            try:
                shown = mask(set_up_bob(network, px), network, px)
            finally:
                px.command("--quit")
    SVG.write_text(format_setup(shown), encoding="utf-8", newline="\n")
    print(f"wrote {SVG}")


if __name__ == "__main__":
    main()
