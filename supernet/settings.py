"""How networks are trained. Read by `supernet.training` and `supernet.recipe`; part of every command's configuration
(`--supernet.<field>`, `--finetune.<field>`, `--retrain.<field>`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from supernet.errors import UserError

Kernels = Literal["auto", "compiled", "torch"]
Precision = Literal["auto", "32-true", "bf16-mixed"]  # of arithmetic, as Lightning Fabric names it; weights stay fp32


def chosen_precision(precision: Precision, on_gpu: bool) -> Precision:
    """What `auto` stands for."""
    if precision != "auto":
        return precision
    return "bf16-mixed" if on_gpu else "32-true"


@dataclass(frozen=True)
class TrainingSettings:
    """What every training has. Lengths are optimiser steps.

    Args:
        steps: optimiser steps in all.
        batches_per_epoch: what is called an epoch: one validation, one line of the log.
        batch_size: clips in a batch, of all processes together.
        clip_seconds: length of each clip, a multiple of 0.04 s.
        learning_rate: peak rate of AdamW (no weight decay on shared weights); a cosine takes it to a hundredth.
        rate_warmup: steps over which the rate rises to its peak.
        gradient_norm: gradients are clipped to this norm.
        lip_dropout: share of clips trained without lips, so that a missing video is a trained case.
        checkpoint_every: steps between checkpoints.
        precision: `32-true`, or `bf16-mixed` where there is a GPU; `auto` chooses by the device.
        kernels: of the separator's blocks: `compiled` for this CPU on first use, by its C compiler, twice as fast; or
            PyTorch's own, `torch`. `auto` goes on with those that a training began with, and begins with compiled ones
            where it can.
        seed: of mixtures and sampled subnets, and of a network's initial weights when it is retrained.
    """

    steps: int = 1000
    batches_per_epoch: int = 50
    batch_size: int = 16
    clip_seconds: float = 1.28
    learning_rate: float = 2e-3
    rate_warmup: int = 20
    gradient_norm: float = 5.0
    lip_dropout: float = 0.25
    checkpoint_every: int = 50
    precision: Precision = "auto"
    kernels: Kernels = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        where = "(of supernet, finetune or retrain)"
        for name in ("steps", "batches_per_epoch", "batch_size", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} {where}: must be at least 1, but is {getattr(self, name)}")
        for name in ("rate_warmup", "seed"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} {where}: must not be negative, but is {getattr(self, name)}")
        if not self.gradient_norm > 0:
            raise UserError(f"gradient_norm {where}: must be positive, but is {self.gradient_norm:g}")
        if not 0 <= self.lip_dropout <= 1:
            raise UserError(f"lip_dropout {where}: must lie in [0, 1], but is {self.lip_dropout:g}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UserError(f"learning_rate {where}: must be positive and finite, but is {self.learning_rate:g}")

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear rise, then a half cosine down to a hundredth of the peak."""
        if step < self.rate_warmup:
            return self.learning_rate * (step + 1) / self.rate_warmup
        progress = (step - self.rate_warmup) / max(1, self.steps - self.rate_warmup)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


@dataclass(frozen=True)
class SupernetSettings(TrainingSettings):
    """The recipe of the supernet, beside what every training has. `ofa-avse recipes` compares the alternatives.

    Args:
        sampler: which subnets a step visits: `uniform` (random ones), `sandwich` (largest, smallest, random ones),
            `fair` (three that use every option of an axis equally often), `progressive` (random ones of a space that
            opens axis by axis: depth, then expansion, then channels).
        largest_alone: first steps, on the largest subnet alone.
        random_subnets: random subnets a step visits, beside largest and smallest in the sandwich.
        shallow_exits: every visit also trains the shallower networks that it contains.
        distillation: weight of the bounded agreement of the other subnets with the largest; off by default, since it
            has not been shown to help.
        distillation_from: first step with distillation; it harms early on.
        sort_channels: put hidden, bottleneck and visual channels in order of importance when `largest_alone` is over.
    """

    sampler: Literal["uniform", "sandwich", "fair", "progressive"] = "uniform"
    largest_alone: int = 0
    random_subnets: int = 1
    shallow_exits: bool = False
    distillation: float = 0.0
    distillation_from: int = 0
    sort_channels: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("largest_alone", "random_subnets", "distillation", "distillation_from"):
            if not getattr(self, name) >= 0:
                raise UserError(f"supernet.{name}: must not be negative, but is {getattr(self, name):g}")
        if self.random_subnets < 1 and self.sampler in ("uniform", "progressive"):
            raise UserError(f"supernet.random_subnets: sampler {self.sampler} needs at least 1")
        if self.sort_channels and not self.largest_alone:
            raise UserError("supernet.sort_channels: needs supernet.largest_alone, after which channels are sorted")
        if self.distillation and self.sampler in ("uniform", "fair"):
            raise UserError(
                f"supernet.distillation: the largest teaches, and sampler {self.sampler} seldom visits it; "
                "choose supernet.sampler: sandwich"
            )


FIRST = {"precision": ("32-true", "auto"), "kernels": ("torch",)}  # what there was before these could be chosen
NOT_SEEN = ("checkpoint_every", "batches_per_epoch")  # in the weights that a training ends with


def training_identity(training: Mapping[str, Any], epochs: bool = False) -> dict[str, Any]:
    """What the result of a training depends on, of its settings as a file has them: those of a former version, or
    today's with `auto` resolved.

    Args:
        epochs: whether the result is one of epochs, as that of fine-tuning is, and so depends on their length.
    """
    unseen = [name for name in NOT_SEEN if not (epochs and name == "batches_per_epoch")]
    return {
        name: value
        for name, value in without_deleted(training).items()
        if name not in unseen and value not in FIRST.get(name, ())
    }


DELETED = {"zero_init": False, "distillation_of": "waveform"}  # fields of former settings, at the value that remains


def without_deleted(settings: Mapping[str, Any], deleted: Mapping[str, Any] = DELETED) -> dict[str, Any]:
    """Settings of a training (or, by other `deleted`, of anything) as a file has them, freed of fields that no longer
    exist and say what is true anyway: how files of former versions are compared with the settings of today."""

    def part(key: str, value: Any) -> Any:
        gone = deleted.get(key)
        return without_deleted(value, gone) if isinstance(gone, dict) and isinstance(value, dict) else value

    return {key: part(key, value) for key, value in settings.items() if key not in deleted or deleted[key] != value}
