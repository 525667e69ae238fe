"""``make test`` runs its stages in parallel; shown with a small Makefile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no make there")

#: `a` and `b` end only if they run in parallel: each waits for a file that the other creates.
MAKEFILE = """
a:
	touch a.made; until [ -e b.made ]; do sleep 0.05; done; echo "a before"; echo "1 passed in 0.10s"
b:
	touch b.made; until [ -e a.made ]; do sleep 0.05; done
	echo "=== 2 passed, 3 skipped in 1.00s (0:00:01) ==="
fails:
	echo "1 failed, 2 passed in 0.10s"; exit 2
untested:
	echo "== no Wine"
"""


def run_stages(directory: Path, *targets: str) -> tuple[int, str]:
    (directory / "Makefile").write_text(MAKEFILE)
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/run_stages.py"), *targets],
        cwd=directory, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_stages_run_in_parallel_and_their_outputs_do_not_mix(tmp_path: Path) -> None:
    code, said = run_stages(tmp_path, "a", "b")
    assert code == 0
    assert said.index("== a\n") < said.index("a before\n") < said.index("== b\n") < said.index("== stages\n")
    closing = said[said.index("== stages\n") :].splitlines()[1:]
    assert closing[0].startswith("  a: passed, ")
    assert closing[1] == "     1 passed in 0.10s"
    assert closing[3] == "     2 passed, 3 skipped in 1.00s (0:00:01)"


@pytest.mark.parametrize("targets", [("fails", "a", "b"), ("a", "b", "fails"), ("a", "b", "no-such-target")])
def test_a_failing_stage_fails_the_run_and_the_other_stages_run_to_their_ends(
    tmp_path: Path, targets: tuple[str, ...]
) -> None:
    code, said = run_stages(tmp_path, *targets)
    assert code == 1
    assert "a: passed" in said
    assert "b: passed" in said
    assert ": failed with 2, " in said


def test_a_stage_without_tests_is_reported(tmp_path: Path) -> None:
    code, said = run_stages(tmp_path, "untested")
    assert code == 0
    assert said.endswith("NOTHING was tested: see above\n")
