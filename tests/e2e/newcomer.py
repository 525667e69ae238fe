"""A person who runs ``px --setup`` for the first time, at a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.corpnet.network import CorporateNetwork
from tests.px_process import PxProcess, clean_environment
from tests.secret_service import Session
from tests.terminal import Terminal

from .exchanges import HOST

PROXY, USER, START = "[none]: ", "[bob]: ", "[Y/n]: "


def environment_of(session: Session, directory: Path) -> dict[str, str]:
    """The keyring of the session, and the home of the test."""
    home = {"HOME": str(directory / "home"), "LOGNAME": "bob"}
    return {**session.environment, **home, "PYTHONWARNINGS": "error,ignore::ResourceWarning"}


def set_up(directory: Path, environment: dict[str, str], *arguments: str) -> Terminal:
    """Run ``px --setup`` at a terminal."""
    environ = {**clean_environment(directory), "TERM": "dumb", **environment}
    return Terminal([sys.executable, "-m", "px", *arguments], environ, directory=directory)


def answer(terminal: Terminal, question: str, typed: str) -> None:
    """Type, once the question is there: before that, the terminal would show a password."""
    terminal.read_until(lambda output: output.endswith(question))
    terminal.press(f"{typed}\n")


def log_in(terminal: Terminal, proxy: str, user: str, password: str) -> None:
    answer(terminal, PROXY, proxy)
    answer(terminal, USER, user)
    answer(terminal, f"Password of {user}: ", password)


def read_to_end(terminal: Terminal, exit_code: int) -> str:
    output = terminal.read_to_end().replace("\r\n", "\n")
    assert terminal.process.returncode == exit_code, output
    return output


def set_up_bob(network: CorporateNetwork, px: PxProcess) -> str:
    """Set up the Px of bob, who has a keyring and no ticket; return what the terminal shows."""
    bob, site = network.ad.bob, network.origin.url("/", HOST)
    options = (f"--setup={site}", f"--port={px.port}", "--workers=1")
    with set_up(px.directory, px.environment, *options) as terminal:
        log_in(terminal, f"localhost:{network.ntlm.port}", f"ADTEST\\{bob.name}", bob.password)
        answer(terminal, START, "")
        return read_to_end(terminal, 0)
