"""The one training loop: the supernet, the 10-epoch fine-tune and the retrain from scratch differ only in the sampler
and the initial weights. Called by the command line and by controller.ladder.finetuning.

Every length is counted in optimiser steps. A batch and a sampler's visits are pure functions of (seed, step), and the
network draws no random numbers, so weights, optimiser moments and the step number are the whole state: a run killed
at any moment and started again ends with the same weights as one left alone, on the same machine and threads. Under
`torchrun` several processes share every batch (`supernet.distributed`): the same training, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from supernet.checkpoint import identity_hash, load, read_notes, read_tensors, save, weights_hash, write_tensors
from supernet.data.mixing.batches import Batch
from supernet.distributed import agree, average_gradients
from supernet.distributed import fabric as connect
from supernet.errors import UserError
from supernet.losses import disagreement, level_error, si_snr
from supernet.model import AVConvTasNet, Pass
from supernet.processes import in_worker
from supernet.recipe import Sampler, Visit
from supernet.settings import SupernetSettings, TrainingSettings, chosen_precision
from supernet.sorting import sort_channels
from supernet.tracking import Silent, Tracker

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"


class Diverged(UserError):
    """A gradient was not finite. The weights are those of the step before."""


class Mixtures(Protocol):
    """Batches as a pure function of the step; `identity` says, in JSON values, what they are drawn from, `loaders` how
    many processes make them ahead (0: this one, when they are needed), `lip_region` how the mouths were found."""

    identity: dict[str, Any]
    loaders: int
    lip_region: str

    def batch(self, step: int) -> Batch: ...

    def share(self, rank: int, world: int) -> Mixtures:
        """The same, one of `world` equal parts of each batch; asked for when several processes train."""


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
    Of several processes, each trains its own copy to the same weights, and rank 0 alone writes and tracks.
    """
    identity = identity_hash(
        {
            "settings": asdict(settings),
            "mixtures": mixtures.identity,
            "sampler": repr(sampler),
            "network": [str(network.subnet), network.width, network.causal, network.norm, asdict(network.variant)],
            "initial": weights_hash(network),
        }
    )
    fabric = connect(chosen_precision(settings.precision, torch.cuda.is_available()))
    first = fabric.is_global_zero
    tracker = tracker if tracker and first else Silent()
    if fabric.world_size > 1:
        mixtures = mixtures.share(fabric.global_rank, fabric.world_size)
    agree(fabric, "settings, data and initial weights", identity)
    network.to(fabric.device)
    if folder and _finished(folder, identity):
        network.load_state_dict(load(folder / WEIGHTS).state_dict())
        network.eval()
        return
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.0)
    start = _resume(folder, network, optimizer, identity) if folder else 0
    agree(fabric, "checkpoint", start)
    network.train()
    progress = tqdm(
        total=settings.steps,
        initial=start,
        desc=description,
        unit="step",
        mininterval=1,
        leave=folder is not None,
        disable=not first or in_worker(),
    )
    smoothed = None
    recipe = settings if isinstance(settings, SupernetSettings) else None  # a plain training has none
    teaching = recipe.distillation_of if recipe else "waveform"
    for step, batch in zip(range(start, settings.steps), batches(mixtures, start, settings.steps, fabric.device)):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        if recipe and recipe.sort_channels and step == recipe.largest_alone:
            sort_channels(network, optimizer)
        distillation = recipe.distillation if recipe and step >= recipe.distillation_from else 0.0
        optimizer.zero_grad()
        quality = gradients(network, batch, sampler.visits(step), distillation, teaching, fabric.autocast)
        quality = average_gradients(fabric, network, quality)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
        if not norm.isfinite():
            raise Diverged(f"learning_rate: training diverged at {settings.learning_rate:g}; lower it")
        optimizer.step()
        smoothed = quality if smoothed is None else 0.95 * smoothed + 0.05 * quality
        progress.update()
        progress.set_postfix_str(f"SI-SNR {smoothed:.2f} dB", refresh=False)
        done = step + 1
        if done % settings.batches_per_epoch == 0:
            tracker.log({f"{description}/si_snr": smoothed, f"{description}/step": done})
            if after_epoch:
                network.eval()
                after_epoch(done // settings.batches_per_epoch)
                network.train()
        if folder and first and (done % settings.checkpoint_every == 0 or done == settings.steps):
            _checkpoint(folder, network, optimizer, done, identity)
    progress.close()
    network.eval()
    if folder and first:
        save(network, folder / WEIGHTS, training=asdict(settings), run=identity, lip_region=mixtures.lip_region)
    fabric.barrier()  # what is written is there, whichever rank asks next


class _Batches(Dataset):
    """The batches of a training, by step."""

    def __init__(self, mixtures: Mixtures) -> None:
        self.mixtures = mixtures

    def __getitem__(self, step: int) -> Batch:
        return self.mixtures.batch(step)


def batches(mixtures: Mixtures, start: int, stop: int, device: torch.device | str) -> Iterator[Batch]:
    """Batches from `start` on, mixed ahead by as many processes as `mixtures.loaders` says, on the device."""
    loader = DataLoader(
        _Batches(mixtures),
        batch_size=None,
        sampler=range(start, stop),
        num_workers=mixtures.loaders,
        multiprocessing_context="spawn" if mixtures.loaders else None,
        prefetch_factor=4 if mixtures.loaders else None,
    )
    for batch in loader:
        yield batch.to(device)


def gradients(
    network: AVConvTasNet,
    batch: Batch,
    visits: Sequence[Visit],
    distillation: float = 0.0,
    of: Literal["waveform", "mask", "features"] = "waveform",
    autocast: Callable[[], AbstractContextManager] = nullcontext,
) -> float:
    """Add the gradients of all `visits` of one batch; returns the SI-SNR of the first, in dB.

    The lip trunk is the same for every visit: it runs once, and its gradient is collected over the visits. With
    `distillation`, the deepest pass of the first visit teaches the others.
    """
    with autocast():
        trunk = network.lip_features(batch.lips)
    features = trunk.detach().requires_grad_()
    teacher, qualities = None, []
    for visit in visits:
        with autocast():
            passes = network.passes(batch.mixture, features, visit.subnet, visit.exits, batch.lips_present)
            loss, quality = _loss(passes, batch.clean, teacher, distillation, of)
        teacher = teacher or Pass(*(tensor.detach() for tensor in passes[-1]))
        (loss / len(visits)).backward()
        qualities.append(quality.detach())
    trunk.backward(features.grad)
    return qualities[0].item()


def _loss(
    passes: list[Pass], clean: Tensor, teacher: Pass | None, distillation: float, of: str
) -> tuple[Tensor, Tensor]:
    """Loss of one visit, the mean over its exits, and its SI-SNR in dB."""
    quality = torch.stack([si_snr(exit.estimate, clean).mean() for exit in passes]).mean()
    loss = torch.stack([level_error(exit.estimate, clean).mean() for exit in passes]).mean() - quality
    if teacher is not None and distillation:
        loss = loss + distillation * torch.stack([disagreement(exit, teacher, of) for exit in passes]).mean()
    return loss, quality


def _finished(folder: Path, identity: str) -> bool:
    return (folder / WEIGHTS).is_file() and read_notes(folder / WEIGHTS).get("run") == identity


def device() -> torch.device:
    """Where `train` trains: the GPU where there is one."""
    return Fabric(accelerator="auto", devices=1).device


def _checkpoint(
    folder: Path, network: AVConvTasNet, optimizer: torch.optim.Optimizer, step: int, identity: str
) -> None:
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        state = optimizer.state[parameter]
        tensors |= {f"{key}.{name}": state[key] for key in ("exp_avg", "exp_avg_sq", "step") if key in state}
    write_tensors(folder / CHECKPOINT, tensors, {"kind": "checkpoint", "step": step, "run": identity})


def _resume(folder: Path, network: AVConvTasNet, optimizer: torch.optim.Optimizer, identity: str) -> int:
    """Load the checkpoint of `folder`, if it has one, and return the step at which to go on.

    Raises UserError when it belongs to another run, or is damaged.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return 0
    tensors, header = read_tensors(path, "checkpoint")
    if header.get("run") != identity:
        raise UserError(
            f"{path}: belongs to a run with other settings, data or initial weights; "
            f"choose another run folder, or delete {path.parent} to start over"
        )
    weights = {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
    network.load_state_dict(weights)
    for name, parameter in network.named_parameters():
        if f"step.{name}" in tensors:
            moments = {key: tensors[f"{key}.{name}"].to(parameter.device) for key in ("exp_avg", "exp_avg_sq")}
            optimizer.state[parameter] = {**moments, "step": tensors[f"step.{name}"]}  # which AdamW keeps on the CPU
    return header["step"]
