"""Which machine a measured cost belongs to. Free of torch."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path


def fingerprint(threads: int = 1, accelerator: str = "") -> str:
    """One line that names what decides the speed here: the accelerator if one is used, CPU model, cores, threads used,
    torch version."""
    cores, accelerator = os.cpu_count(), f"{accelerator}, " if accelerator else ""
    return f"{accelerator}{_cpu()}, {cores} cores, {threads} thread{'s' * (threads > 1)}, torch {version('torch')}"


def _cpu() -> str:
    """CPU model; on Linux with family and model numbers, since virtual machines share names such as `AMD EPYC`."""
    table = Path("/proc/cpuinfo")
    if not table.exists():
        return platform.processor() or platform.machine()
    pairs = (line.split(":", 1) for line in table.read_text().splitlines() if ":" in line)
    entries: dict[str, str] = {}
    for key, value in pairs:
        entries.setdefault(key.strip(), value.strip())
    if "model name" not in entries:  # ARM lists no name
        return platform.machine()
    return f"{entries['model name']} (family {entries.get('cpu family', '?')}, model {entries.get('model', '?')})"
