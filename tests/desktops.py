"""The proxy settings of desktops, for real: GNOME's, kept by dconf, and Windows' Internet Options."""

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

#: What is checked in the dialogue of Internet Options.
MANUAL, SCRIPT, DETECT = 2, 4, 8


class GnomeDesktop:
    """A desktop whose settings dconf keeps.

    Args:
        environment: Of its programs.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment

    def write(self, key: str, value: str) -> None:
        """Change a key below ``org.gnome.system.proxy``."""
        child, _, name = key.rpartition(".")
        self._run("set", f"org.gnome.system.proxy.{child}".rstrip("."), name, value)

    def reset(self) -> None:
        """Have all keys as they are without a user's doing."""
        self._run("reset-recursively", "org.gnome.system.proxy")

    def _run(self, *command: str) -> None:
        command = ("gsettings", *command)
        subprocess.run(command, env=self.environment, check=True, timeout=_SECONDS, capture_output=True)


@contextmanager
def gnome_desktop() -> Iterator[GnomeDesktop]:
    """Give a desktop; skip where there can be none, and fail on a CI server, where nobody would notice."""
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
    """Give what changes Internet Options, as their dialogue does, and undo it in the end."""
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
