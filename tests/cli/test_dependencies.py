"""What Px reports when packages are missing."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from px.cli.dependencies import PACKAGES, check_dependencies
from px.core.startup_errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_the_check_covers_every_package_that_px_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [each for each in project["dependencies"] if sys.platform == "win32" or "win32" not in each]
    assert {each.partition(">")[0] for each in needed} == set(PACKAGES.values())
    check_dependencies()


def imported_by(path: Path) -> Iterator[str]:
    """Yield the top-level names that a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)


def test_px_imports_nothing_else_than_what_it_names_as_needed():
    imported = {name for path in (ROOT / "src" / "px").rglob("*.py") for name in imported_by(path)}
    of_windows, of_an_extra = {"sspilib"}, {"prometheus_client"}
    assert imported - sys.stdlib_module_names - {"px"} == set(PACKAGES) | of_windows | of_an_extra


def test_the_error_names_missing_packages_and_the_command_that_installs_them():
    with pytest.raises(ConfigError) as caught:
        check_dependencies({"no_such_module": "first", "json": "other"})
    assert str(caught.value).startswith("first is not installed; to install what Px needs, run: ")
    with pytest.raises(ConfigError, match="first, other are not installed"):
        check_dependencies({"no_such_module": "first", "no_such_either": "other"})


#: A Windows Python under Wine finds its packages through a path list of its own.
without_site_packages = pytest.mark.skipif(
    sys.platform == "win32", reason="-S does not hide the packages there"
)


@without_site_packages
@pytest.mark.parametrize("program", [("px.py",), ("-m", "px")])
@pytest.mark.parametrize("argument", ["--help", "--noproxy=*", "--status"])
def test_a_python_without_the_packages_prints_one_line(program: tuple[str, ...], argument: str) -> None:
    done = subprocess.run(
        [sys.executable, "-S", *program, argument],  # without site-packages
        cwd=ROOT if program == ("px.py",) else ROOT / "src",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("px: keyring, platformdirs, psutil, quickjs-ng are not installed; to ")
    assert line.endswith(f" -m pip install {ROOT}")


@without_site_packages
def test_with_json_the_line_about_missing_packages_is_in_the_json() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "px.py", "--status", "--json"],  # without site-packages
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert json.loads(done.stdout)["error"].startswith("keyring, platformdirs, ")
    assert len(done.stderr.splitlines()) == 1
