"""The real proxy settings of desktops: GNOME's, in dconf, and Windows' Internet Options."""

from __future__ import annotations

import importlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.corpnet.system_programs import INSTALL_SCRIPT
from tests.secret_service import dbus_session

_DCONF_SERVICE = next(
    (
        path
        for path in (Path("/usr/libexec/dconf-service"), Path("/usr/lib/dconf/dconf-service"))
        if path.exists()
    ),
    None,
)
_SECONDS = 20
_CONNECTIONS = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings\Connections"

#: The check boxes in the dialogue of Internet Options.
MANUAL, SCRIPT, DETECT = 2, 4, 8


class GnomeDesktop:
    """A desktop that keeps its settings in dconf.

    Args:
        environment: Variables for its programs.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment

    def write(self, key: str, value: str) -> None:
        """Change a key below ``org.gnome.system.proxy``."""
        child, _, name = key.rpartition(".")
        self._run("set", f"org.gnome.system.proxy.{child}".rstrip("."), name, value)

    def reset(self) -> None:
        """Reset all keys to their defaults."""
        self._run("reset-recursively", "org.gnome.system.proxy")

    def _run(self, *command: str) -> None:
        command = ("gsettings", *command)
        subprocess.run(command, env=self.environment, check=True, timeout=_SECONDS, capture_output=True)


@contextmanager
def gnome_desktop() -> Iterator[GnomeDesktop]:
    """Yield a desktop. Without the programs for one, skip the test, or fail it on a CI server."""
    if sys.platform != "linux":
        pytest.skip("GNOME is on Linux")
    if _DCONF_SERVICE is None or shutil.which("gsettings") is None:
        reason = f"the settings of GNOME need gsettings and dconf; run {INSTALL_SCRIPT}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="px-gnome") as name, dbus_session(Path(name)) as session:
        environ = {
            "PATH": os.environ["PATH"],
            "XDG_CONFIG_HOME": f"{name}/config",
            "XDG_CURRENT_DESKTOP": "ubuntu:GNOME",
            "GSETTINGS_BACKEND": "dconf",
            "LC_ALL": "C.UTF-8",
            **session.environment,
        }
        with subprocess.Popen([str(_DCONF_SERVICE)], env=environ, stderr=subprocess.DEVNULL) as service:
            try:
                session.wait_for("ca.desrt.dconf", service)
                yield GnomeDesktop(environ)
            finally:
                service.terminate()


@contextmanager
def internet_options() -> Iterator[Callable[..., None]]:
    """Yield a function that changes Internet Options as their dialogue does; restore them at the end."""
    winreg = importlib.import_module("winreg")
    name = "DefaultConnectionSettings"
    with winreg.CreateKeyEx(winreg.HKEY_CURRENT_USER, _CONNECTIONS, 0, winreg.KEY_ALL_ACCESS) as key:
        try:
            before = winreg.QueryValueEx(key, name)[0]
        except FileNotFoundError:
            before = None

        def write(flags: int, servers: str = "", exceptions: str = "", pac: str = "") -> None:
            texts = [struct.pack("<I", len(text)) + text.encode() for text in (servers, exceptions, pac)]
            value = struct.pack("<III", 0x46, 1, flags | 1) + b"".join(texts) + bytes(32)
            winreg.SetValueEx(key, name, 0, winreg.REG_BINARY, value)

        yield write
        if before is None:
            winreg.DeleteValue(key, name)
        else:
            winreg.SetValueEx(key, name, 0, winreg.REG_BINARY, before)
