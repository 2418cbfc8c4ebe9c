"""Which subnets one training step visits. A sampler is a pure function of the step, so a resumed run draws the same.

The supernet, the 10-epoch fine-tune and the retrain from scratch are one training loop with another sampler.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from supernet.settings import SupernetSettings
from supernet.space import AXES, SearchSpace, Subnet

DRAWS = 0x5A3D  # keeps these random numbers apart from those of the mixtures
OPENING = (("blocks", "repeats"), ("expansion",), ("encoder", "bottleneck", "visual"))  # of the progressive space


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
class Elastic:
    """The supernet's samplers: the largest alone during `warmup` steps, then what `drawn` says.

    With `exits`, each pass also trains its shallow exits, which come for the price of a mask and a decoder; random
    subnets are then drawn as deep as they come, so that each visit trains three depths.
    """

    space: SearchSpace
    warmup: int = 0
    random: int = 1
    exits: bool = True
    seed: int = 0

    def visits(self, step: int) -> list[Visit]:
        if step < self.warmup:
            return [self._visit(self.space.largest)]
        return [self._visit(subnet) for subnet in self.drawn(step)]

    def drawn(self, step: int) -> list[Subnet]:
        raise NotImplementedError

    def _visit(self, subnet: Subnet) -> Visit:
        exits = tuple(r for r in AXES["repeats"] if r <= subnet.repeats) if self.exits else (subnet.repeats,)
        return Visit(subnet, exits)

    def _random(self, step: int, candidates: list[Subnet]) -> list[Subnet]:
        """Distinct subnets, all equally likely."""
        if self.exits:
            deepest = max(subnet.repeats for subnet in candidates)
            candidates = [subnet for subnet in candidates if subnet.repeats == deepest]
        rng = np.random.default_rng((self.seed, DRAWS, step))
        return [
            candidates[i] for i in rng.choice(len(candidates), size=min(self.random, len(candidates)), replace=False)
        ]


class Sandwich(Elastic):
    """The largest, the smallest and `random` drawn ones on the same batch (Yu and Huang, 2019). All are drawn from, so
    now and then one of the two comes twice.
    """

    def drawn(self, step: int) -> list[Subnet]:
        return [self.space.largest, self.space.smallest, *self._random(step, list(self.space))]


class Uniform(Elastic):
    """`random` subnets, all 324 equally likely (single-path one-shot: Guo et al., 2020)."""

    def drawn(self, step: int) -> list[Subnet]:
        return self._random(step, list(self.space))


class Fair(Elastic):
    """Three subnets a step that use each option of an axis equally often (strict fairness: FairNAS, Chu et al., 2021).

    Encoder and bottleneck depend on each other (B <= E): their six pairs are used once each in two steps. So are the
    two visual options thrice each. With `exits` a visit trains all its depths, and every subnet is drawn deepest.
    """

    def drawn(self, step: int) -> list[Subnet]:
        rng = np.random.default_rng((self.seed, DRAWS, step // 2))
        pairs = [(e, b) for e in AXES["encoder"] for b in AXES["bottleneck"] if b <= e]
        channels = rng.permutation(pairs)
        visual = rng.permutation(AXES["visual"] * 3)
        axes = {axis: [rng.permutation(AXES[axis]) for _ in range(2)] for axis in ("blocks", "repeats", "expansion")}
        half = step % 2
        drawn = []
        for i in range(3):
            encoder, bottleneck = channels[3 * half + i]
            blocks, repeats, expansion = (axes[axis][half][i] for axis in axes)
            subnet = Subnet(
                int(encoder), int(bottleneck), int(blocks), int(repeats), float(expansion), int(visual[3 * half + i])
            )
            drawn.append(replace(subnet, repeats=AXES["repeats"][-1]) if self.exits else subnet)
        return drawn


@dataclass(frozen=True)
class Progressive(Elastic):
    """`random` subnets of a space that opens in equal phases until `steps`: depth, then also expansion, then also
    channels (the order of Once-for-all, Cai et al., 2020). The largest comes first in each step, as the teacher.
    """

    steps: int = 1

    def drawn(self, step: int) -> list[Subnet]:
        phase = (step - self.warmup) * len(OPENING) // max(1, self.steps - self.warmup)
        opened = sum(OPENING[: phase + 1], ())
        largest = self.space.largest
        closed = [axis for axis in AXES if axis not in opened]
        candidates = [s for s in self.space if all(getattr(s, axis) == getattr(largest, axis) for axis in closed)]
        return [largest, *self._random(step, candidates)]


def sampler_for(space: SearchSpace, settings: SupernetSettings) -> Sampler:
    """The sampler that the settings of a supernet name."""
    common = (space, settings.largest_alone, settings.random_subnets, settings.shallow_exits, settings.seed)
    if settings.sampler == "progressive":
        return Progressive(*common, settings.steps)
    return {"sandwich": Sandwich, "uniform": Uniform, "fair": Fair}[settings.sampler](*common)
