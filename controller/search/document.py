"""What a search has written: `search.json`, and beside it `<method>.json`."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from controller.ladder.evaluation import Record
from controller.search.reward import RewardSettings
from supernet.space import SearchSpace, Subnet


class Winner(Record, frozen=True, kw_only=True):
    """An evaluation, and its reward."""

    reward: float


class Step(Struct, frozen=True):
    """A row of the oracle; SI-SNRi in dB is null where training failed."""

    episode: int
    step: int
    subnet: str
    action: str | None
    params: int
    si_snri: float | None
    reward: float
    cached: bool

    def __post_init__(self) -> None:
        Subnet.parse(self.subnet)


class SearchDocument(Struct, frozen=True):
    """The whole of it.

    Args:
        candidates: names of the best by reward, the winner's first.
        ended: in words.
        reward: its settings as they were used, `baseline` and `target` resolved.
        settings: of the search.
        curves: SI-SNRi in dB after each epoch, by subnet.
        trajectory: every step, the start first.
    """

    winner: Winner
    candidates: list[str]
    ended: str
    distinct_evaluations: int
    reward: RewardSettings
    settings: dict[str, Any]
    curves: dict[str, list[float]]
    trajectory: list[Step]

    def __post_init__(self) -> None:
        if not (isinstance(self.settings.get("method"), str) and isinstance(self.settings.get("compute_bound"), bool)):
            raise ValueError("settings lack method or compute_bound")
        if not self.trajectory:
            raise ValueError("trajectory is empty")
        for name in (self.winner.subnet, *self.candidates, *self.curves):
            Subnet.parse(name)

    def may_win(self, subnet: Subnet) -> bool:
        return SearchSpace.within_bound(subnet) or not self.settings["compute_bound"]
