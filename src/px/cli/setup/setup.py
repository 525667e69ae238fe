"""``px --setup``: finds the proxy, logs in, tests, saves and starts, with as few questions as it can."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from px.checks.own_checks import CHOOSE_PORT, check_port
from px.checks.step import Step, Verdict
from px.checks.target import SiteRequests
from px.cli.setup.commands import format_setup
from px.cli.setup.proxy_search import Load, ProxySearch
from px.cli.setup.questions import Questions
from px.cli.setup.saving import Plan, fail_without_keyring, find_keyring
from px.cli.setup.screen import Screen, SetupFailedError
from px.cli.setup.trial import Trial
from px.config.files import INI_NAME, default_config_dirs
from px.core.auth.secret_store import SecretStoreError
from px.core.startup_errors import ConfigError

if TYPE_CHECKING:
    from px.config.invocation import Invocation
    from px.config.settings import Settings
    from px.core.secret import Secret

#: A site that has nothing to do with the usual one (RFC 2606 3).
_OTHER_SITE: Final = "http://www.example.org/"
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Tools:
    """What the command line does for a set-up.

    Attributes:
        load: Returns what arguments ask for; raises ConfigError.
        load_passwords: Returns settings with the passwords of the keyring.
        look_at_port: Returns the step of a port that has a Px, and whether that Px answers; no step without.
    """

    load: Load
    load_passwords: Callable[[Settings], Settings]
    look_at_port: Callable[[Settings], tuple[Step | None, bool]]


class Setup:
    """Finds out what works.

    Args:
        invocation: What the user asked for.
        requests: The test.
        questions: Asks the user.
        screen: Shows what is found.
        tools: Of the command line.
    """

    def __init__(
        self,
        invocation: Invocation,
        requests: SiteRequests,
        questions: Questions,
        screen: Screen,
        tools: Tools,
    ) -> None:
        self._tools = tools
        self._invocation = invocation
        self._requests = requests
        self._questions = questions
        self._screen = screen
        self._path = invocation.config_file or _new_ini()
        self._known = ""
        self._password: Secret | None = None

    def prepare(self) -> Plan:
        """Return what to save; changes nothing.

        Raises:
            SetupFailedError: Something does not work.
            KeyboardInterrupt: The user has pressed Ctrl-C.
        """
        is_running = self._look_at_port()
        search = ProxySearch(self._invocation, self._tools.load, self._questions, self._screen)
        search.run()
        self._invocation, self._password = search.invocation, search.password
        self._known = search.text
        self._screen.show("Proxy", search.text)
        settings, trial = self._log_in()
        if not trial.is_good:
            raise self._explain(trial)
        for warning in trial.warnings:
            self._screen.note(f"warning: {warning}")
        self._screen.show("Login", trial.login)
        for name, answer in zip(("Test", ""), trial.answers, strict=True):
            self._screen.show(name, answer)
        return Plan(
            invocation=self._invocation,
            settings=settings,
            path=self._path,
            password=self._password or _password_of_environment(settings),
            must_keep=self._password is not None,
            starts=self._questions.confirm(_ask_to_start(is_running=is_running)),
            is_running=is_running,
        )

    def _explain(self, trial: Trial) -> SetupFailedError:
        """Return the failure of a trial; if only the site fails, say that the login works."""
        if not trial.is_stopped_by_site:
            return SetupFailedError(*trial.failures)
        self._screen.show("Login", f"accepted: {trial.login}")
        fix = "Name another site for the test, for example:"
        steps = [replace(step, fix="") for step in trial.failures]
        steps[-1] = replace(steps[-1], fix=fix)
        return SetupFailedError(*steps, commands=[format_setup(self._invocation, setup=_OTHER_SITE)])

    def _look_at_port(self) -> bool:
        """Return whether a Px of this user has the port.

        Raises:
            SetupFailedError: Another program has it.
        """
        settings = self._invocation.known_settings
        step, is_running = self._tools.look_at_port(settings)
        step = step or check_port(settings)
        if step.verdict is Verdict.FAILED:
            if step.fix != CHOOSE_PORT:
                raise SetupFailedError(step)
            port = str(settings.port + 1 if settings.port < _MAX_PORT else settings.port - 1)
            again = format_setup(self._invocation, port=port)
            raise SetupFailedError(replace(step, fix="Choose another port, for example:"), commands=[again])
        return is_running

    def _log_in(self) -> tuple[Settings, Trial]:
        """Return the settings, with all secrets, and how the requests went; ask for a password if need be."""
        settings, trial = self._try(is_repeated=False)
        if not trial.wants_password or self._questions.is_silent:
            return settings, trial
        try:
            find_keyring()
        except SecretStoreError as error:
            if not settings.password:
                raise fail_without_keyring(error, self._invocation) from None
        self._screen.show("Login", f"{trial.why} Px needs your user name and password.".strip())
        username = settings.username
        if not username:
            username = self._questions.ask("User (DOMAIN\\user or user@REALM)", getpass.getuser())
            flags = (*self._invocation.flags, f"--username={username}")
            self._invocation = self._tools.load(["--setup", *flags])
        if not (settings.password or settings.nthash):
            self._password = self._questions.ask_secret(f"Password of {username}")
        return self._try(is_repeated=True)

    def _try(self, *, is_repeated: bool) -> tuple[Settings, Trial]:
        settings = self._invocation.known_settings
        if self._password is not None:
            settings = replace(settings, password=self._password)
        settings = self._tools.load_passwords(settings)
        trial = Trial(self._screen, self._known, is_repeated=is_repeated)
        asyncio.run(trial.run(settings, self._requests))
        return settings, trial


def _password_of_environment(settings: Settings) -> Secret | None:
    """Return the password of PX_PASSWORD: at login there may be no such variable."""
    password = settings.password
    return password if password is not None and not password.place and settings.username else None


def _ask_to_start(*, is_running: bool) -> str:
    if is_running:
        return "Px runs already. Restart it now, and start it at every login?"
    return "Start Px now and at every login?"


def _new_ini() -> Path:
    """Return the path of a new px.ini for this user.

    Raises:
        ConfigError: There is one, which Px does not use.
    """
    path = default_config_dirs()[0] / INI_NAME
    if path.exists():
        raise ConfigError(f"{path} is not used, so --setup saves nothing there; --config=FILE names another")
    return path
