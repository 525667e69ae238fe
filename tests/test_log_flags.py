"""The logging flags of a running Px: the files that it writes, and its output on the terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.corpnet.ports import reserved_ports
from tests.px_process import PxProcess, until

#: The names of the files, one for each process of a Px.
FIXED = r"debug-\d+-[a-z]+(-\d)?\.log"
UNIQUE = r"debug-\d+-[a-z]+(-\d)?-\d{8}-\d{6}-\d+\.log"
HEADING = r"px: Px [\d.]+, Python \S+ on \w+, process \w+"


def run(directory: Path, *flags: str) -> tuple[list[Path], str]:
    """Start and end a Px; return its log files and its output."""
    with PxProcess(directory, "--noproxy=*", *flags) as px:
        pass
    return sorted(directory.rglob("debug-*.log")), px.output


@pytest.mark.parametrize(
    ("flags", "name", "is_on_terminal"),
    [
        ([], "", False),
        (["--log=0"], "", False),
        (["--debug"], FIXED, False),
        (["--log=1"], FIXED, False),
        (["--log=2"], FIXED, False),
        (["--uniqlog"], UNIQUE, False),
        (["--log=3"], UNIQUE, False),
        (["--debug", "--uniqlog"], UNIQUE, False),
        (["--uniqlog", "--debug"], UNIQUE, False),
        (["--uniqlog", "--verbose", "--debug"], UNIQUE, True),
        (["--verbose"], "", True),
        (["--log=4"], "", True),
        (["--verbose", "--debug"], FIXED, True),
        (["--debug", "--verbose"], FIXED, True),
        (["--log=4", "--debug"], FIXED, True),
        (["--verbose", "--log=2"], FIXED, True),
    ],
    ids=lambda value: " ".join(value) or "none" if isinstance(value, list) else "",
)
@pytest.mark.shows("--debug", "--uniqlog", "--verbose", "--log")
def test_each_combination_of_flags_logs_to_its_places(
    tmp_path: Path, flags: list[str], name: str, is_on_terminal: bool
) -> None:
    logs, output = run(tmp_path, *flags)
    assert {bool(re.fullmatch(name, path.name)) for path in logs} == ({True} if name else set())
    assert all(path.parent == tmp_path and re.search(HEADING, path.read_text()) for path in logs)
    assert bool(re.search(HEADING, output)) is is_on_terminal


@pytest.mark.shows("--log")
def test_level_5_logs_to_the_state_directory(tmp_path: Path) -> None:
    logs, _ = run(tmp_path, "--log=5")
    assert logs
    for path in logs:
        assert re.fullmatch(FIXED, path.name)
        assert path.is_relative_to(tmp_path / "home")


def test_px_ini_sets_the_log_and_flags_override_it(tmp_path: Path) -> None:
    (tmp_path / "px.ini").write_text("[settings]\nlog = 3\n")
    logs, _ = run(tmp_path)
    assert re.fullmatch(UNIQUE, logs[0].name)
    assert run(tmp_path, "--log=0")[0] == logs


def test_two_px_in_one_directory_write_to_separate_logs(tmp_path: Path) -> None:
    flags = ("--noproxy=*", "--debug")
    with PxProcess(tmp_path, *flags) as first, PxProcess(tmp_path, *flags) as second:
        ports = {path.name.split("-")[1] for path in tmp_path.glob("debug-*.log")}
        assert ports == {str(first.port), str(second.port)}


def test_a_log_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    px = PxProcess(tmp_path, "--noproxy=*", "--debug")
    (tmp_path / f"debug-{px.port}-main.log").mkdir()
    with (
        pytest.raises(AssertionError, match=r"px: the log .*main\.log cannot be written: .*; choose another"),
        px,
    ):
        pass
    assert px.wait() == 2
    assert "Traceback" not in px.output


def test_a_px_without_a_terminal_keeps_warnings_in_the_state_directory(
    tmp_path: Path,
) -> None:
    with reserved_ports(1) as (port,):
        pac = f"http://127.0.0.1:{port}/none.pac"
        with PxProcess(tmp_path, f"--pac={pac}", workers=2) as px:
            until(lambda: px.status()["problems"])
            (problem,) = px.status()["problems"]
            path = Path(px.status()["warnings_log"])
            until(path.exists)
            shown = px.command("--status").stdout
    assert f"The PAC script {pac} cannot be loaded" in problem["cause"]
    assert "Meanwhile requests go directly." in problem["hint"]
    assert path.read_text().count(problem["cause"]) == 1  # of two workers
    assert str(path) in shown
    assert problem["cause"] in shown
    (tmp_path / "well").mkdir()
    run(tmp_path / "well")
    assert not list((tmp_path / "well").rglob("warnings*"))
