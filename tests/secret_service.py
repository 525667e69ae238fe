"""A separate D-Bus session, with GNOME Keyring or with a service that never answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.corpnet.system_programs import INSTALL_SCRIPT

NAME = "org.freedesktop.secrets"
_PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon")
_SECONDS = 20.0

#: The bus starts no services by itself: only the programs of the test are on it.
_BUS = """\
<busconfig>
  <type>session</type>
  <listen>unix:dir={directory}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


def require_programs() -> None:
    """Skip the test if programs are missing; on a CI server fail it, since nobody would notice the skip."""
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        reason = f"a Secret Service needs {', '.join(missing)}; run {INSTALL_SCRIPT}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


class Session:
    """A D-Bus session.

    Args:
        directory: A private directory with a short path; the home of the session's user.

    Attributes:
        environment: Variables for a program that runs in the session.
    """

    def __init__(self, directory: Path, address: str) -> None:
        self._directory = directory
        self.environment = {
            "HOME": str(directory),
            "XDG_DATA_HOME": str(directory / "data"),
            "XDG_RUNTIME_DIR": str(directory),
            "DBUS_SESSION_BUS_ADDRESS": address,
        }

    @contextmanager
    def gnome_keyring(self, *, is_unlocked: bool = True) -> Iterator[None]:
        """Run GNOME Keyring, either unlocked, or locked for good since no user can unlock it."""
        options = ["--unlock"] if is_unlocked else []
        with subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--components=secrets", *options],
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as daemon:
            assert daemon.stdin is not None
            daemon.stdin.write(b"of the keyring itself")
            daemon.stdin.close()
            try:
                self.wait_for(NAME, daemon)
                yield
            finally:
                daemon.terminate()

    def wait_for(self, name: str, daemon: subprocess.Popen[bytes]) -> None:
        """Wait until a daemon has its name on the bus."""
        from jeepney.bus_messages import message_bus  # noqa: PLC0415 - Linux only

        deadline = time.monotonic() + _SECONDS
        with self.connect() as bus:
            while not bus.send_and_get_reply(message_bus.NameHasOwner(name)).body[0]:
                assert daemon.poll() is None, f"the daemon that is to be {name} has ended"
                assert time.monotonic() < deadline, f"there is no {name}"
                time.sleep(0.02)

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """Yield a connection to the bus."""
        from jeepney.io.blocking import open_dbus_connection  # noqa: PLC0415 - Linux only

        with open_dbus_connection(self.environment["DBUS_SESSION_BUS_ADDRESS"]) as bus:
            yield bus

    @contextmanager
    def silent_service(self) -> Iterator[Callable[[], str]]:
        """Run a Secret Service that never answers; yield a function that waits for the next method call."""
        from jeepney import HeaderFields  # noqa: PLC0415 - Linux only
        from jeepney.bus_messages import message_bus  # noqa: PLC0415

        with self.connect() as bus:
            bus.send_and_get_reply(message_bus.RequestName(NAME))

            def next_asked() -> str:
                while True:
                    fields = bus.receive(timeout=_SECONDS).header.fields
                    if fields.get(HeaderFields.destination) == NAME:
                        return str(fields[HeaderFields.member])

            yield next_asked


@contextmanager
def dbus_session(directory: Path) -> Iterator[Session]:
    """Run a separate D-Bus daemon.

    Args:
        directory: A private directory; created if missing.
    """
    require_programs()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = directory / "bus.conf"
    configuration.write_text(_BUS.format(directory=directory))
    with ExitStack() as stack:
        daemon = stack.enter_context(
            subprocess.Popen(
                ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address=1"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        stack.callback(daemon.terminate)
        assert daemon.stdout is not None
        stack.enter_context(daemon.stdout)
        yield Session(directory, daemon.stdout.readline().strip())
