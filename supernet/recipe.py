"""What a batch teaches: the supernet, through the subnets that a sampler draws; or a network of its own.

The samplers of the field (uniform, sandwich, fair, progressive), shallow exits, distillation and channel sorting are
the supernet's recipe, chosen by its settings; `ofa-avse recipes` compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from supernet.data.mixing.batches import Batch
from supernet.elastic import parameter_axes
from supernet.losses import agreement, level_error, si_snr
from supernet.model import AVConvTasNet
from supernet.settings import DELETED, SupernetSettings
from supernet.space import AXES, SearchSpace, Subnet
from supernet.training import Objective

DRAWS = 0x5A3D  # keeps these random numbers apart from those of the mixtures
OPENING = (("blocks", "repeats"), ("expansion",), ("encoder", "bottleneck", "visual"))  # of the progressive space
ORDERED_ONCE = ("bottleneck", "visual")  # channels with one order for the whole network; the encoder's keep theirs


class Visit(NamedTuple):
    """One forward pass of a step: a subnet, and the repeats after which an estimate is taken and trained."""

    subnet: Subnet
    exits: tuple[int, ...]


@dataclass(frozen=True)
class SupernetSampler:
    """Which subnets a step visits, a pure function of the step, so that a resumed run draws the same: the largest alone
    during `warmup` steps, then what `drawn` says.

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


class Sandwich(SupernetSampler):
    """The largest, the smallest and `random` drawn ones on the same batch (Yu and Huang, 2019). All are drawn from, so
    now and then one of the two comes twice.
    """

    def drawn(self, step: int) -> list[Subnet]:
        return [self.space.largest, self.space.smallest, *self._random(step, list(self.space))]


class Uniform(SupernetSampler):
    """`random` subnets, all 324 equally likely (single-path one-shot: Guo et al., 2020)."""

    def drawn(self, step: int) -> list[Subnet]:
        return self._random(step, list(self.space))


class Fair(SupernetSampler):
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
class Progressive(SupernetSampler):
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


def sampler_for(space: SearchSpace, settings: SupernetSettings) -> SupernetSampler:
    """The sampler that the settings of a supernet name."""
    common = (space, settings.largest_alone, settings.random_subnets, settings.shallow_exits, settings.seed)
    if settings.sampler == "progressive":
        return Progressive(*common, settings.steps)
    return {"sandwich": Sandwich, "uniform": Uniform, "fair": Fair}[settings.sampler](*common)


@dataclass(frozen=True)
class NetworkObjective(Objective[nn.Module]):
    """A network of its own learns SI-SNR and level: fine-tuning, retraining, other systems. It is called as
    `network(mixture, lips, lips_present=...)` and returns its estimate, like the mixture."""

    def gradients(
        self, network: nn.Module, batch: Batch, step: int, autocast: Callable[[], AbstractContextManager]
    ) -> dict[str, Tensor]:
        with autocast():
            estimate = network(batch.mixture, batch.lips, lips_present=batch.lips_present)
            loss, quality = _loss([estimate], batch.clean)
        loss.backward()
        return {"loss": loss.detach(), "si_snr": quality.detach()}

    def formerly(self, network: nn.Module, settings: dict[str, Any]) -> dict[str, Any] | None:
        if type(network) is not AVConvTasNet:
            return None
        return _formerly(network, settings, f"Single(subnet={network.subnet!r})")


@dataclass(frozen=True)
class SupernetObjective(Objective[AVConvTasNet]):
    """Every subnet that a step visits learns from the same batch.

    The lip trunk is the same for every visit: it runs once, and its gradient is collected over the visits.

    Args:
        sampler: says which are visited.
        distillation: weight of the `agreement` of the other passes with the deepest of the first visit, their teacher.
        distillation_from: first step with distillation.
        sorted_at: step before which the channels are put in order of importance; None: never.
    """

    sampler: SupernetSampler
    distillation: float = 0.0
    distillation_from: int = 0
    sorted_at: int | None = None

    @classmethod
    def of(cls, space: SearchSpace, settings: SupernetSettings) -> SupernetObjective:
        """The one that the settings of a supernet name."""
        sorted_at = settings.largest_alone if settings.sort_channels else None
        return cls(sampler_for(space, settings), settings.distillation, settings.distillation_from, sorted_at)

    def prepare(self, network: AVConvTasNet, optimizer: torch.optim.Optimizer, step: int) -> None:
        if step == self.sorted_at:
            sort_channels(network, optimizer)

    def gradients(
        self, network: AVConvTasNet, batch: Batch, step: int, autocast: Callable[[], AbstractContextManager]
    ) -> dict[str, Tensor]:
        visits = self.sampler.visits(step)
        distillation = self.distillation if step >= self.distillation_from else 0.0
        with autocast():
            trunk = network.lip_features(batch.lips)
        features = trunk.detach().requires_grad_()
        teacher, losses, qualities = None, [], []
        for visit in visits:
            with autocast():
                estimates = network.estimates(batch.mixture, features, visit.subnet, visit.exits, batch.lips_present)
                loss, quality = _loss(estimates, batch.clean, teacher, distillation)
            if teacher is None:
                teacher = estimates[-1].detach()
            (loss / len(visits)).backward()
            losses.append(loss.detach())
            qualities.append(quality.detach())
        trunk.backward(features.grad)
        return {"loss": torch.stack(losses).mean(), "si_snr": qualities[0]}

    def formerly(self, network: AVConvTasNet, settings: dict[str, Any]) -> dict[str, Any] | None:
        return _formerly(network, settings | DELETED, repr(self.sampler)) if type(network) is AVConvTasNet else None


def _formerly(network: AVConvTasNet, settings: dict[str, Any], sampler: str) -> dict[str, Any]:
    """As commit ee8efb0 had it."""
    variant = {"fusion": "add", "dilation": "exponential", "mask_heads": "one"}
    shape = [str(network.subnet), network.width, network.causal, network.norm, variant]
    return {"settings": settings, "sampler": sampler, "network": shape}


def _loss(
    estimates: list[Tensor], clean: Tensor, teacher: Tensor | None = None, distillation: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Loss of one visit, the mean over its exits, and its SI-SNR in dB."""
    quality = torch.stack([si_snr(estimate, clean).mean() for estimate in estimates]).mean()
    loss = torch.stack([level_error(estimate, clean).mean() for estimate in estimates]).mean() - quality
    if teacher is not None and distillation:
        loss = loss - distillation * torch.stack([agreement(exit, teacher).mean() for exit in estimates]).mean()
    return loss, quality


@torch.no_grad()
def sort_channels(network: AVConvTasNet, optimizer: torch.optim.Optimizer) -> None:
    """Put the channels of a supernet in order of importance, so that the prefixes that subnets use are the better ones.
    Weights, and what the optimiser keeps of each, are permuted in place; the function of the largest stays the same.
    Source: Once-for-all (Cai et al., 2020), elastic width.
    """
    orders = {scope: _channel_order(network, *scope) for scope in _channel_scopes(network)}
    for name, parameter, axes in parameter_axes(network):
        for dimension, axis in enumerate(axes):
            scope = next((scope for scope in orders if scope[1] == axis and name.startswith(scope[0])), None)
            if scope is not None:
                state = optimizer.state.get(parameter, {})
                for tensor in [parameter, *(state[key] for key in ("exp_avg", "exp_avg_sq") if key in state)]:
                    tensor.copy_(tensor.index_select(dimension, orders[scope]))


def _channel_scopes(network: AVConvTasNet) -> Iterator[tuple[str, str]]:
    """(prefix of parameter names, axis): where channels of an axis must keep one order."""
    for axis in ORDERED_ONCE:
        yield "", axis
    for name, _, axes in parameter_axes(network):
        if name.endswith("depthwise.weight") and "hidden" in axes:
            yield name.removesuffix("depthwise.weight"), "hidden"


def _channel_order(network: AVConvTasNet, prefix: str, axis: str) -> Tensor:
    """Channels by the weight that their readers give them (L1), heaviest first."""
    readers = [
        parameter.abs().sum(0)
        for name, parameter, axes in parameter_axes(network)
        if name.startswith(prefix) and len(axes) == 2 and axes[1] == axis
    ]
    return torch.stack(readers).sum(0).argsort(descending=True, stable=True)
