"""Which subnets one training step visits. A sampler is a pure function of the step, so a resumed run draws the same.

The supernet, the 10-epoch fine-tune and the retrain from scratch are one training loop with another sampler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from supernet.space import AXES, SearchSpace, Subnet

DRAWS = 0x5A3D  # keeps these random numbers apart from those of the mixtures


class Visit(NamedTuple):
    """One forward pass of a step: a subnet, and the repeats after which an estimate is taken and trained."""

    subnet: Subnet
    exits: tuple[int, ...]


class Sampler(Protocol):
    def visits(self, step: int) -> list[Visit]: ...


@dataclass(frozen=True)
class Single:
    """One network, its last exit only: fine-tuning and retraining."""

    subnet: Subnet

    def visits(self, step: int) -> list[Visit]:
        return [Visit(self.subnet, (self.subnet.repeats,))]


@dataclass(frozen=True)
class Sandwich:
    """The largest alone during `warmup` steps; then the largest, the smallest and `random` others on the same batch.

    Each pass also trains its shallow exits, which come for the price of a mask and a decoder: the repeats are drawn
    as the deepest for every random subnet, so each visit trains three depths. (Sandwich rule: Yu and Huang, 2019.)
    """

    space: SearchSpace
    warmup: int
    random: int = 1
    seed: int = 0

    def visits(self, step: int) -> list[Visit]:
        largest = _all_exits(self.space.largest)
        if step < self.warmup:
            return [largest]
        rng = np.random.default_rng((self.seed, DRAWS, step))
        deepest = [subnet for subnet in self.space if subnet.repeats == AXES["repeats"][-1]]
        drawn = rng.choice(len(deepest), size=self.random, replace=False)
        return [largest, _all_exits(self.space.smallest), *(_all_exits(deepest[i]) for i in drawn)]


def _all_exits(subnet: Subnet) -> Visit:
    return Visit(subnet, tuple(r for r in AXES["repeats"] if r <= subnet.repeats))
