"""The process of a PAC script: calls the script for the Px that started this process.

A script is foreign code. A script that breaks out of QuickJS finds a process that knows the script, the
hosts it was asked for and their addresses, and that has no secret, no file, no socket but the one to Px, and
little memory.

The main thread reads requests, so that this process ends with Px even while a script is running. A second
thread runs the script, because only a thread that this process starts can have a stack of the size it needs.

Messages are those of `px.core.message_line`. Px sends the script in parts (``{"part": text}``), then calls:
``{"do", "url", "host", "own_addresses", "names", "is_last"}``, one at a time, where ``do`` is ``load`` or
``call``. Each call gets one answer: the fields of an `Outcome`, or
``{"error", "line", "is_limit", "is_loading"}``.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import threading
from queue import SimpleQueue
from typing import Any, Final

from px.core.message_line import MAX_LINE_BYTES, format_line, parse_line
from px.routing.pac.sandbox import MAX_MEMORY_BYTES, Call, Sandbox, ScriptError, read_own_functions

#: Enough for 10,000 levels of recursion, as many as browsers allow: each level takes 5.1 KB on Windows, 1.7
#: KB on Linux. The system provides memory only for the levels in use.
MAX_STACK_BYTES: Final = 48 * 1024 * 1024
#: QuickJS measures the stack only now and then, and Python itself needs some of the stack.
_THREAD_STACK_BYTES: Final = MAX_STACK_BYTES + 16 * 1024 * 1024
#: Address space of this process in addition to the memory of the script. Most of it is never used.
_OTHER_MEMORY_BYTES: Final = 512 * 1024 * 1024
#: A terminal or a service manager sends these to all processes of Px. This process ignores them and ends when
#: Px closes the socket.
_LEFT_TO_PX: Final = ("SIGINT", "SIGHUP", "SIGTERM", "SIGBREAK")


def serve_script(sock: socket.socket) -> int:
    """Answer calls until Px closes its end of the socket; return the exit code."""
    for name in _LEFT_TO_PX:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.stack_size(_THREAD_STACK_BYTES)
    threading.Thread(target=_answer_calls, args=(sock, lines), daemon=True).start()
    with contextlib.suppress(OSError), sock.makefile("rb") as stream:
        while line := stream.readline(MAX_LINE_BYTES):
            lines.put(line)
    return 0


def _answer_calls(sock: socket.socket, lines: SimpleQueue[bytes]) -> None:
    try:
        _limit_resources()
        sandbox = None
        parts: list[str] = []
        while True:
            message: dict[str, Any] = parse_line(lines.get())
            if "part" in message:
                parts.append(message["part"])
                continue
            if sandbox is None:
                sandbox = Sandbox("".join(parts), max_stack_bytes=MAX_STACK_BYTES)
            sock.sendall(format_line(_answer(sandbox, message)))
    finally:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)  # the main thread's read returns, and the process ends


def _answer(sandbox: Sandbox, message: dict[str, Any]) -> dict[str, object]:
    act = sandbox.load if message["do"] == "load" else sandbox.call
    call = Call(message["url"], message["host"], message["own_addresses"])
    try:
        return act(call, message["names"], is_last=message["is_last"])._asdict()
    except ScriptError as error:
        return {
            "error": error.reason,
            "line": error.line,
            "is_limit": error.is_limit,
            "is_loading": error.is_loading,
        }


def _limit_resources() -> None:
    """Give up the rights that a script never needs. Windows has no such limits."""
    import quickjs  # type: ignore[import-untyped]  # noqa: F401, PLC0415 - while files can still be opened

    read_own_functions()
    if sys.platform != "win32":
        _limit_to_little()


if sys.platform != "win32":
    import resource

    def _limit_to_little() -> None:
        # Open files stay open: the socket, and two that lead nowhere.
        limits = dict.fromkeys(
            (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE), 0
        )
        if sys.platform == "linux":
            with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
                pages = int(file.read().split()[0])
            used = pages * resource.getpagesize()
            limits[resource.RLIMIT_AS] = used + MAX_MEMORY_BYTES + _OTHER_MEMORY_BYTES
        for limit, most in limits.items():
            with contextlib.suppress(OSError, ValueError):  # the limit is lower already
                resource.setrlimit(limit, (most, most))
