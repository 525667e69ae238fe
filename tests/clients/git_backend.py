"""`git http-backend`, run as a CGI program (RFC 3875)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.corpnet.system_programs import SYSTEM_PATH

PREFIX = "/git"

_SECONDS = 30


def run_git_backend(
    repositories: Path, method: str, target: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Return the status, the body and the headers that answer a request below `PREFIX`."""
    path, _, query = target.partition("?")
    environment = {
        "PATH": SYSTEM_PATH,
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PROJECT_ROOT": str(repositories),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": path.removeprefix(PREFIX),
        "QUERY_STRING": query,
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = subprocess.run(
        ["git", "http-backend"],
        env=environment,
        input=body,
        stdout=subprocess.PIPE,
        timeout=_SECONDS,
        check=True,
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    lines = [line.partition(":") for line in head.decode().split("\r\n")]
    answered = [(name, value.strip()) for name, _, value in lines]
    status = next((int(value.split()[0]) for name, value in answered if name == "Status"), 200)
    return status, content, [pair for pair in answered if pair[0] != "Status"]
