"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path


def describe() -> str:
    """Return processor, cores, memory, kernel, Python and the limit of open files, as one line."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    names = [line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    return (
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {kilobytes / 1e6:.0f} GB;"
        f" Linux {platform.release().split('-')[0]}; Python {platform.python_version()};"
        f" at most {resource.getrlimit(resource.RLIMIT_NOFILE)[1]:,} open files"
    )
