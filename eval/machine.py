"""Which machine a measured cost belongs to. Free of torch."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

MATRICES = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "sve", "bf16")


def fingerprint(threads: int = 1, accelerator: str = "") -> str:
    """One line that names what decides the speed here: the accelerator if one is used, CPU model, cores, threads used,
    torch version."""
    cores, accelerator = os.cpu_count(), f"{accelerator}, " if accelerator else ""
    return f"{accelerator}{processor()}, {cores} cores, {threads} thread{'s' * (threads > 1)}, torch {_torch()}"


def _torch() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "none"


def features() -> list[str]:
    """Those of the processor that decide how fast matrices are multiplied; empty where the system does not say."""
    table = Path("/proc/cpuinfo")
    if not table.exists():
        return []
    lines = table.read_text().splitlines()
    flags = next((line.split(":")[1].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return [flag for flag in MATRICES if flag in flags]


def processor() -> str:
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
