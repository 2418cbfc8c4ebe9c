"""The one training loop: the supernet, the 10-epoch fine-tune and the retrain from scratch differ only in the sampler
and the initial weights. Called by the command line and by controller.finetuning.

Every length is counted in optimiser steps. A batch and a sampler's visits are pure functions of (seed, step), and the
network draws no random numbers, so weights, optimiser moments and the step number are the whole state: a run killed
at any moment and started again ends with the same weights as one left alone, on the same machine and threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from supernet.checkpoint import identity_hash, read_notes, read_tensors, save, weights_hash, write_tensors
from supernet.errors import UserError
from supernet.losses import agreement, level_error, si_snr
from supernet.model import AVConvTasNet
from supernet.sampling import Sampler, Visit
from supernet.tracking import Silent, Tracker

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"


@dataclass
class TrainingSettings:
    """How a network is trained. Lengths are optimiser steps.

    Args:
        steps: optimiser steps in all.
        batches_per_epoch: what is called an epoch: one validation, one line of the log.
        batch_size: clips in a batch.
        clip_seconds: length of each clip, a multiple of 0.04 s.
        learning_rate: peak rate of AdamW (no weight decay on shared weights); a cosine takes it to a hundredth.
        rate_warmup: steps over which the rate rises to its peak.
        gradient_norm: gradients are clipped to this norm.
        lip_dropout: share of clips trained without lips, so that a missing video is a trained case.
        checkpoint_every: steps between checkpoints.
        precision: `32-true`, or `bf16-mixed` where there is a GPU; `auto` chooses by the device.
        seed: of initial weights, mixtures and sampled subnets.
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
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        where = "(of supernet, finetune or retrain)"
        for name in ("steps", "batches_per_epoch", "batch_size", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} {where}: must be at least 1, but is {getattr(self, name)}")
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


@dataclass
class SupernetSettings(TrainingSettings):
    """How the supernet is trained: the recipe, beside what every training has.

    Args:
        largest_alone: first steps, on the largest subnet alone.
        random_subnets: random subnets a step visits, beside largest and smallest.
        distillation: weight of the bounded agreement of the smaller subnets with the largest; off by default, since
            it has not been shown to help.
        distillation_from: first step with distillation; it harms early on.
    """

    largest_alone: int = 0
    random_subnets: int = 1
    distillation: float = 0.0
    distillation_from: int = 0


class Diverged(UserError):
    """A gradient was not finite. The weights are those of the step before."""


class Batch(Protocol):
    """(batch, samples) float mixture and clean, (batch, frames, 88, 88) uint8 lips, (batch,) bool lips_present."""

    mixture: Tensor
    clean: Tensor
    lips: Tensor
    lips_present: Tensor


class Mixtures(Protocol):
    """Batches as a pure function of the step; `identity` says, in JSON values, what they are drawn from."""

    identity: dict[str, Any]

    def batch(self, step: int) -> Batch: ...


def train(
    network: AVConvTasNet,
    mixtures: Mixtures,
    sampler: Sampler,
    settings: TrainingSettings,
    folder: Path | None = None,
    tracker: Tracker | None = None,
    description: str = "training",
    after_epoch: Callable[[int], None] | None = None,
) -> None:
    """Train `network` in place.

    With a `folder`, checkpoints go there, and a run that finds one goes on from it; finished weights are kept as
    `weights.safetensors`, and a finished run returns at once. Without, nothing is written. `after_epoch(epoch)` is
    called with 1, 2, … after each epoch. Raises UserError when the folder holds a run of other settings or data.
    """
    identity = identity_hash(
        {
            "settings": asdict(settings),
            "mixtures": mixtures.identity,
            "sampler": repr(sampler),
            "network": [str(network.subnet), network.width, network.causal, network.norm],
            "initial": weights_hash(network),
        }
    )
    fabric = Fabric(accelerator="auto", devices=1, precision=_precision(settings))
    network.to(fabric.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.0)
    start = _resume(folder, network, optimizer, identity) if folder else 0
    network.train()
    progress = tqdm(
        total=settings.steps,
        initial=start,
        desc=description,
        unit="step",
        mininterval=1,
        leave=folder is not None,
        disable=parent_process() is not None,  # a worker's bar would be written across that of its parent
    )
    smoothed = None
    for step in range(start, settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        distillation = 0.0
        if isinstance(settings, SupernetSettings) and step >= settings.distillation_from:
            distillation = settings.distillation
        quality = _step(network, mixtures.batch(step), sampler.visits(step), optimizer, settings, distillation, fabric)
        smoothed = quality if smoothed is None else 0.95 * smoothed + 0.05 * quality
        progress.update()
        progress.set_postfix_str(f"SI-SNR {smoothed:.2f} dB", refresh=False)
        done = step + 1
        if done % settings.batches_per_epoch == 0:
            (tracker or Silent()).log({f"{description}/si_snr": smoothed, f"{description}/step": done})
            if after_epoch:
                network.eval()
                after_epoch(done // settings.batches_per_epoch)
                network.train()
        if folder and (done % settings.checkpoint_every == 0 or done == settings.steps):
            _checkpoint(folder, network, optimizer, done, identity)
    progress.close()
    network.eval()
    if folder and not ((folder / WEIGHTS).is_file() and read_notes(folder / WEIGHTS).get("run") == identity):
        save(network, folder / WEIGHTS, training=asdict(settings), run=identity)


def _step(
    network: AVConvTasNet,
    batch: Batch,
    visits: list[Visit],
    optimizer: torch.optim.Optimizer,
    settings: TrainingSettings,
    distillation: float,
    fabric: Fabric,
) -> float:
    """One optimiser step on all `visits`; returns the SI-SNR of the first, in dB.

    The lip trunk is the same for every visit: it runs once, and its gradient is collected over the visits. With
    `distillation`, the deepest estimate of the first visit teaches the others.
    """
    mixture, clean = batch.mixture.to(fabric.device), batch.clean.to(fabric.device)
    present = batch.lips_present.to(fabric.device)
    optimizer.zero_grad()
    with fabric.autocast():
        trunk = network.lip_features(batch.lips.to(fabric.device))
    features = trunk.detach().requires_grad_()
    teacher, qualities = None, []
    for visit in visits:
        with fabric.autocast():
            estimates = network.estimates(mixture, features, visit.subnet, visit.exits, present)
            quality = torch.stack([si_snr(estimate, clean).mean() for estimate in estimates]).mean()
            loss = torch.stack([level_error(estimate, clean).mean() for estimate in estimates]).mean() - quality
            if teacher is None:
                teacher = estimates[-1].detach()
            elif distillation:
                agreed = torch.stack([agreement(estimate, teacher).mean() for estimate in estimates]).mean()
                loss = loss - distillation * agreed
        (loss / len(visits)).backward()
        qualities.append(quality.item())
    trunk.backward(features.grad)
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
    if not norm.isfinite():
        raise Diverged(f"learning_rate: training diverged at {settings.learning_rate:g}; lower it")
    optimizer.step()
    return qualities[0]


def device() -> torch.device:
    """Where `train` trains: the GPU where there is one."""
    return Fabric(accelerator="auto", devices=1).device


def _precision(settings: TrainingSettings) -> str:
    if settings.precision != "auto":
        return settings.precision
    return "bf16-mixed" if torch.cuda.is_available() else "32-true"


def _checkpoint(
    folder: Path, network: AVConvTasNet, optimizer: torch.optim.Optimizer, step: int, identity: str
) -> None:
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        state = optimizer.state[parameter]
        tensors |= {f"{key}.{name}": state[key] for key in ("exp_avg", "exp_avg_sq", "step") if key in state}
    write_tensors(folder / CHECKPOINT, tensors, {"kind": "checkpoint", "step": step, "run": identity})


def _resume(folder: Path, network: AVConvTasNet, optimizer: torch.optim.Optimizer, identity: str) -> int:
    """Load the checkpoint of `folder`, if it has one, and return the step at which to go on."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return 0
    tensors, header = read_tensors(path, "checkpoint")
    if header["run"] != identity:
        raise UserError(
            f"{path}: belongs to a run with other settings, data or initial weights; "
            f"choose another run folder, or delete {path.parent} to start over"
        )
    network.load_state_dict(
        {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
    )
    for name, parameter in network.named_parameters():
        if f"step.{name}" in tensors:
            optimizer.state[parameter] = {key: tensors[f"{key}.{name}"] for key in ("exp_avg", "exp_avg_sq", "step")}
    return header["step"]
