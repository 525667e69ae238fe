"""Runs px with arguments, to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.guard import home_variables
from tests.markdown import ROOT


def run_px(
    *argv: str, cwd: Path, program: tuple[str, ...] = ("-m", "px"), **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run Px in a process of its own, with its own working directory and home."""
    ours = ("PX_", "DBUS_SESSION")  # keep the developer's keyring out
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    clean = {name: value for name, value in clean.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        [sys.executable, *program, *argv],
        cwd=cwd,
        env={
            **clean,
            **home_variables(cwd),
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONIOENCODING": "utf-8",
            **environ,
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
