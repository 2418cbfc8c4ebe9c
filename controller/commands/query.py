"""The `query` command: best subnet of a quality table for a budget, without torch, in well under a second."""

from __future__ import annotations

import math
import re
from json import dumps

from eval.table.quality_table import QualityTable
from supernet.errors import UserError

COUNTS = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
UNITS: dict[str, dict[str, float]] = {
    "max_params": COUNTS,
    "max_macs": COUNTS,
    "max_latency_ms": {"ms": 1.0, "s": 1e3, "us": 1e-3},
    "max_rtf": {},
    "max_memory_mb": {"kB": 1e-3, "KB": 1e-3, "MB": 1.0, "GB": 1e3},
}
EXAMPLES = {"max_params": "60e3 or 60k", "max_macs": "40e6 or 40M", "max_latency_ms": "10 or 10ms"}
EXAMPLES |= {"max_rtf": "0.02", "max_memory_mb": "5 or 5MB"}


def query(
    table: str = "runs/quick/quality.csv",
    max_params: str | None = None,
    max_macs: str | None = None,
    max_latency_ms: str | None = None,
    max_rtf: str | None = None,
    max_memory_mb: str | None = None,
    json: bool = False,
) -> None:
    """Print the best subnet within all budgets given.

    Args:
        table: quality table that `score` wrote.
        max_params: parameters, such as 60e3 or 60k.
        max_macs: multiply-accumulates for a second of audio, such as 50e6 or 50M.
        max_latency_ms: milliseconds, or 10ms or 0.01s, for a clip of the measured length, on this machine.
        max_rtf: real-time factor on this machine.
        max_memory_mb: weights and activations, megabytes, or 500kB or 1GB.
        json: print one JSON object; see docs/runtime.md.
    """
    given = {
        "max_params": max_params,
        "max_macs": max_macs,
        "max_latency_ms": max_latency_ms,
        "max_rtf": max_rtf,
        "max_memory_mb": max_memory_mb,
    }
    budgets = {key: amount(key, text) for key, text in given.items() if text is not None}
    answer = QualityTable.load(table).best(**budgets)
    if json:
        limits = {key.removeprefix("max_"): limit for key, limit in budgets.items()}
        print(dumps({"table": table, "budgets": limits, **answer.record()}, allow_nan=False))
    else:
        print(answer.text())


def amount(key: str, text: str) -> float:
    """The number that a budget is given as, with its unit or without. Raises UserError for what is none above 0."""
    units = UNITS[key]
    found = re.fullmatch(r"\s*([-+.\d]+(?:[eE][-+]?\d+)?)\s*([A-Za-z]*)\s*", text)
    try:
        if found and (not found[2] or found[2] in units):
            number = float(found[1]) * units.get(found[2], 1.0)
            if number > 0 and math.isfinite(number):
                return number
    except ValueError:
        pass
    raise UserError(f"{key}: {text} is no budget; give a number above 0, such as {EXAMPLES[key]}")
