"""Searches for a secret, in all its forms, in all places where Px may have left it."""

from __future__ import annotations

import base64
import contextlib
import threading
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from px.core.auth.ntlm.md4 import nt_hash

_POLL_SECONDS = 0.005
#: The beginnings of NTLM messages and SPNEGO tokens in base64: both can be attacked or replayed.
_TOKENS = ("TlRMTVNTUA", "Negotiate YI")


def forms_of(password: str, *usernames: str) -> dict[str, str]:
    """Return the forms in which a password may appear: name of the form -> text to search for.

    Args:
        password: The password itself.
        usernames: Users who may have this password, for the credentials of Basic.
    """
    encoded = password.encode()
    forms = {
        "password": password,
        "password as a repr": repr(password)[1:-1],
        "password of a URL": quote(password, safe=""),
        "NT hash": nt_hash(password).hex(),
        "password in UTF-16": password.encode("utf-16-le").hex(),
        "password in base64": base64.b64encode(encoded).decode().rstrip("="),
    }
    for name in usernames:
        forms[f"Basic credentials of {name}"] = base64.b64encode(f"{name}:{password}".encode()).decode()
    return forms


def check_text(where: str, text: str, forms: dict[str, str]) -> None:
    """Check that a text contains neither the secret nor a token made from it."""
    for what, form in forms.items():
        assert form not in text, f"{what} in {where}"
        assert form.lower() not in text.lower(), f"{what} in {where}"
    for token in _TOKENS:
        assert token not in text, f"a token in {where}"


def check_files(directory: Path, forms: dict[str, str]) -> list[Path]:
    """Check every file below a directory; return the files."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    for path in files:
        check_text(str(path), path.read_bytes().decode("utf-8", "replace"), forms)
    return files


class ProcessWatch:
    """Collects what ``ps`` shows of a process and its descendants: command lines (visible to all users) and
    environments (visible to their user).
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: dict[str, set[str]] = {"cmdline": set(), "environ": set()}
        #: The ids of all processes there were.
        self.pids: set[int] = set()
        self._ends = threading.Event()
        self._watching = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._watching.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._watching.join()

    @property
    def command_lines(self) -> str:
        """All there were."""
        return "\n".join(self._seen["cmdline"])

    @property
    def environments(self) -> str:
        """All there were."""
        return "\n".join(self._seen["environ"])

    def _watch(self) -> None:
        while not self._ends.wait(_POLL_SECONDS):
            self._look(self._pid)

    def _look(self, pid: int) -> None:
        with contextlib.suppress(OSError):
            process = Path(f"/proc/{pid}")
            self.pids.add(pid)
            for name, seen in self._seen.items():
                seen.add((process / name).read_bytes().replace(b"\0", b"\n").decode())
            for thread in (process / "task").iterdir():
                for child in (thread / "children").read_text().split():
                    self._look(int(child))
