"""The `query` command: best subnet of a quality table for a budget, without torch, in well under a second."""

from __future__ import annotations

from eval.table.quality_table import QualityTable


def query(
    table: str = "runs/quick/quality.csv",
    max_params: float | None = None,
    max_macs: float | None = None,
    max_latency_ms: float | None = None,
    max_rtf: float | None = None,
    max_memory_mb: float | None = None,
) -> None:
    """Print the best subnet within all budgets given.

    Args:
        table: quality table that `score` wrote.
        max_params: parameters, such as 60e3.
        max_macs: multiply-accumulates for a second of audio, such as 50e6.
        max_latency_ms: milliseconds for a clip of the measured length, on this machine.
        max_rtf: real-time factor on this machine.
        max_memory_mb: weights and activations, megabytes.
    """
    answer = QualityTable.load(table).best(
        max_params=max_params,
        max_macs=max_macs,
        max_latency_ms=max_latency_ms,
        max_rtf=max_rtf,
        max_memory_mb=max_memory_mb,
    )
    print(answer.text())
