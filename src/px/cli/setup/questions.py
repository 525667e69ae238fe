"""The questions of ``px --setup``; with ``--yes`` each has its default answer."""

from __future__ import annotations

import sys
from collections.abc import Callable

from px.core.auth.password_advice import AS_TYPED
from px.core.secret import Secret
from px.core.startup_errors import ConfigError


class Questions:
    """Asks at the terminal. A Ctrl-D there is a KeyboardInterrupt, as a Ctrl-C is.

    Args:
        read_secret: Returns what a person types, hidden, after a prompt.
        is_silent: Whether to take the defaults instead.

    Raises:
        ConfigError: There is no terminal to ask at.
    """

    def __init__(self, read_secret: Callable[[str], Secret], *, is_silent: bool) -> None:
        self._read_secret = read_secret
        self.is_silent = is_silent
        if not is_silent and not (sys.stdin and sys.stdin.isatty()):
            raise ConfigError(
                "--setup asks questions, and standard input is no terminal; with --yes it asks none:"
                " px --setup --yes --proxy=HOST:PORT"
            )

    def ask(self, question: str, default: str) -> str:
        """Return the answer to a question, without blanks around it; the default for an empty one."""
        if self.is_silent:
            return default
        sys.stderr.write(f"{question} [{default}]: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise KeyboardInterrupt
        return line.strip() or default

    def confirm(self, question: str) -> bool:
        """Return whether the answer is yes, the default."""
        return self.is_silent or self.ask(question, "Y/n").lower() not in {"n", "no"}

    def ask_secret(self, question: str) -> Secret:
        """Return a secret, which the terminal does not show.

        Raises:
            ConfigError: The answer is empty, or no text.
        """
        secret = self._read_secret(f"{question}: ")
        if not secret:
            raise ConfigError("no password was given; nothing was saved")
        return Secret(secret.reveal(), AS_TYPED)
