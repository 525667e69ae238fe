"""A working directory, and a stand-in for the proxy and the demo."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def cwd(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


class FakeApp(types.ModuleType):
    """Stands in for px.processes.program and px.cli.demo.story; `calls` records their arguments.

    Nothing forks the process of the tests: a fork would go on with them.
    """

    def __init__(self) -> None:
        super().__init__("px.processes.program")
        self.calls: list[Any] = []
        self.run: Callable[..., int] = self.note

    def note(self, settings: object, *_: object, **__: object) -> int:
        self.calls.append(settings)
        return 0

    def fork_template(self, **_: object) -> None:
        return None

    def run_demo(self) -> int:
        return self.note("demo")


@pytest.fixture
def app(monkeypatch):
    fake = FakeApp()
    monkeypatch.setitem(sys.modules, "px.processes.program", fake)
    monkeypatch.setitem(sys.modules, "px.cli.demo.story", fake)
    monkeypatch.setitem(sys.modules, "px.processes.forks.template", fake)
    return fake
