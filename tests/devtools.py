"""A headless Chromium that a test or script directs through Chromium's DevTools protocol, over two pipes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

_FLAGS: Final = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync --disable-default-apps"
    " --no-proxy-server --remote-debugging-pipe about:blank"
)
#: Chromium reads commands from descriptor 3 and writes answers to descriptor 4.
_SHELL: Final = 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null'
_DEADLINE_SECONDS: Final = 40.0


class Chromium:
    """A running Chromium with one page; a context manager.

    Args:
        profile: A directory for the profile.
        environment: The whole environment of Chromium. Its TMPDIR must be short.

    Attributes:
        complaints: Errors of pages so far: of their scripts, and what their policies forbid.
    """

    def __init__(self, profile: Path, environment: Mapping[str, str]) -> None:
        self._profile = profile
        self._environment = environment
        self._received = b""
        self._number = 0
        self._session = ""
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SHELL, "sh", "chromium", f"--user-data-dir={self._profile}", *_FLAGS.split()],
            env=dict(self._environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._answers = self._process.stdin, self._process.stdout
        try:
            targets = self.call("Target.getTargets")["targetInfos"]
            page = next(each["targetId"] for each in targets if each["type"] == "page")
            attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
            self._session = attached["sessionId"]
            self.call("Log.enable")
            self.call("Runtime.enable")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # and all processes that Chromium has started
        self._process.wait()
        self._commands.close()
        self._answers.close()

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command and return its result; see https://chromedevtools.github.io/devtools-protocol/."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while True:
            answer = self._read_message(deadline)
            self._note(answer)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _note(self, message: Mapping[str, Any]) -> None:
        """Keep an event that tells of an error."""
        is_log = message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error"
        if is_log or message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(message["params"]))

    def _read_message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "Chromium does not answer"
            data = os.read(self._answers.fileno(), 1 << 20)
            assert data, "Chromium has ended"
            self._received += data
        message, _, self._received = self._received.partition(b"\0")
        return dict(json.loads(message))

    def look(self, width: int, height: int, scheme: str = "light") -> None:
        """Show pages in a window of this size, to a user who prefers this colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url: str) -> None:
        """Load a page with its scripts."""
        self.call("Page.navigate", url=url)
        self.wait_for("location.href !== 'about:blank' && document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        """Return the JSON value of an expression in the page; of a promise, its result."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression in the page is true."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not self.evaluate(condition):
            assert time.monotonic() < deadline, f"never true: {condition}"
            time.sleep(0.05)

    def take_picture(self, *, whole: bool = False) -> bytes:
        """Return a PNG of the window, or of the whole page."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])
