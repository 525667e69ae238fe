"""The name of a process lets others notice that the process has ended."""

from __future__ import annotations

import subprocess
import sys

from px.system.process.process_name import has_process_ended, make_process_name


def test_each_process_name_is_new_and_belongs_to_a_running_process() -> None:
    one, other = make_process_name(), make_process_name()
    assert one != other
    assert not has_process_ended(one)
    assert not has_process_ended(f"{one}-more")


def test_the_name_shows_that_a_process_has_ended() -> None:
    code = "from px.system.process.process_name import make_process_name; print(make_process_name())"
    name = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert name
    assert has_process_ended(name)


def test_a_text_that_is_not_a_process_name_belongs_to_no_process() -> None:
    assert has_process_ended("")
    assert has_process_ended("px-1")
