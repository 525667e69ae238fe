"""The arrows of ARCHITECTURE.md: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import px

PACKAGE_DIR = Path(px.__file__).parent

#: What is below px, by its place in the house. A module may import its own room and those in its set.
SETTINGS = {
    "actions",
    "config",
    "config_files",
    "config_sources",
    "help_text",
    "ini_text",
    "log",
    "option",
    "option_values",
    "options",
    "options_text",
}
OUTER_ROOMS = {"admin", "net", "routing", "system"}
MAY_IMPORT = {
    "core": set(),
    **{room: {"core"} for room in OUTER_ROOMS},
    **{name: {"core"} | SETTINGS for name in SETTINGS},
    "log": {"core", "system"},  # for the state directory
    "access_log": {"core", "log", "system"},
    "config_writer": {"core", "system"} | SETTINGS,
    "stored_passwords": {"core"} | SETTINGS,
    "secret_entry": {"core"},
    "tool_settings": {"core"} | SETTINGS,
    "upstream_hops": {"core", "net", "system"} | SETTINGS,
    "way_finding": {"core"} | OUTER_ROOMS | SETTINGS,
    "app": {"access_log", "core", "upstream_hops", "way_finding"} | OUTER_ROOMS | SETTINGS,
    "workers": {"access_log", "app", "core", "stored_passwords", "way_finding"} | OUTER_ROOMS | SETTINGS,
    "background": {"system"},
    "steering": {"core"} | OUTER_ROOMS,
    "demo": {"app", "core", "demo_upstream"} | OUTER_ROOMS | SETTINGS,
    "demo_upstream": {"core"},
    "explain": {"core", "way_finding"} | OUTER_ROOMS | SETTINGS,
    "doctor": {"app", "core"} | OUTER_ROOMS | SETTINGS,
    # The verbs of the command line.
    "cli": {
        "config_writer",
        "demo",
        "doctor",
        "explain",
        "secret_entry",
        "steering",
        "stored_passwords",
        "tool_settings",
        "way_finding",
    }
    | {"background", "core", "workers"}
    | OUTER_ROOMS
    | SETTINGS,
    "__main__": {"cli"},
    "__init__": set(),
}

#: The core takes time, randomness and bytes as arguments.
BANNED_IN_CORE = {
    "asyncio",
    "os",
    "random",
    "secrets",
    "select",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
}

MODULES = sorted(PACKAGE_DIR.rglob("*.py"))


def room_of(path: Path) -> str:
    """Return the sub-package a file is in, or its own name where it stands directly in px."""
    first = path.relative_to(PACKAGE_DIR).parts[0]
    return first.removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    """Return every module a file imports, at whatever depth of its code, by full name."""
    names: set[str] = set()
    package = ("px", *path.relative_to(PACKAGE_DIR).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def rooms_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in imported_modules(path)]
    return {name[1] for name in parts if name[0] == "px" and len(name) > 1} - {"__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE_DIR)))
def test_a_module_imports_only_the_rooms_below_it(path):
    room = room_of(path)
    assert room in MAY_IMPORT, f"{path} stands in no known room: give it a place in MAY_IMPORT"
    assert rooms_imported(path) - {room} <= MAY_IMPORT[room]


@pytest.mark.parametrize("path", sorted((PACKAGE_DIR / "core").rglob("*.py")), ids=lambda path: path.stem)
def test_the_core_does_no_io_and_knows_no_clock(path):
    assert not {name.split(".")[0] for name in imported_modules(path)} & BANNED_IN_CORE


def test_only_the_command_line_ends_the_process():
    enders = {"sys.exit", "os._exit", "exit", "quit"}
    for path in MODULES:
        calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        if path.name != "cli.py":
            assert not enders & {ast.unparse(call.func) for call in calls}, path


def test_the_checker_sees_imports_inside_functions_and_relative_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_import_rules.PACKAGE_DIR", tmp_path)
    module = tmp_path / "net" / "module.py"
    module.parent.mkdir()
    module.write_text("from ..app import run\nfrom . import pool\ndef f():\n    import px.cli as c\n")
    assert imported_modules(module) == {"px.app.run", "px.net.pool", "px.cli"}
    assert rooms_imported(module) == {"app", "net", "cli"}
