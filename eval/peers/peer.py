"""Another system to compare the network with, and what the evaluation asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Peer(Protocol):
    """Enhances a mixture under a name of its own.

    Args:
        name: titles its column, its row and its report.
        lips: what it is tested with, names of `mixing.batches.LIPS`; ("none",) for one that only hears.
        costs: those that are known, by the names of `eval.table.query.COSTS`; may be empty.
    """

    name: str
    lips: tuple[str, ...]
    costs: Mapping[str, float]

    def __call__(self, mixture: Tensor, lips: Tensor | None = None) -> Tensor:
        """(batch, samples) at 16 kHz, (batch, frames, 88, 88) uint8 or None -> estimate (batch, samples)."""
