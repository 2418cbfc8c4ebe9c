"""The one training loop: of the supernet, the 10-epoch fine-tune, the retrain from scratch, and any other network. They
differ in the objective, which adds the gradients of a batch, and in the initial weights.

Every length is counted in optimiser steps. A batch, and the random numbers of a step, are pure functions of (seed,
step), so weights, optimiser moments and the step number are the whole state: a run killed at any moment and started
again ends with the same weights as one left alone, on the same machine and threads. Under `torchrun` several processes
share every batch (`supernet.distributed`): the same training, up to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from supernet.checkpoint import (
    AGAIN,
    architecture,
    fill,
    identity_hash,
    read_notes,
    read_tensors,
    save,
    weights_hash,
    write_tensors,
)
from supernet.data.mixing.batches import Batch
from supernet.distributed import agree, average_gradients
from supernet.distributed import fabric as connect
from supernet.errors import UserError
from supernet.processes import in_worker
from supernet.records import convert
from supernet.settings import TrainingSettings, chosen_precision
from supernet.tracking import Silent, Tracker

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"
SMOOTHING = 0.95  # of the figures shown while training
SHOWN_EVERY = 1.0  # s


class Diverged(UserError):
    """A gradient was not finite. On a CPU the weights are those of the step before; a checkpoint never holds others."""


class Mixtures(Protocol):
    """Batches as a pure function of the step; `identity` says, in JSON values, what they are drawn from, `loaders` how
    many processes make them ahead (0: this one, when they are needed), `lip_region` how the mouths were found."""

    identity: dict[str, Any]
    loaders: int
    lip_region: str

    def batch(self, step: int) -> Batch: ...

    def share(self, rank: int, world: int) -> Mixtures:
        """The same, one of `world` equal parts of each batch; asked for when several processes train."""


class Objective:
    """What a batch teaches a network. Its `repr` is part of a training's identity, so make it a frozen dataclass."""

    def prepare(self, network: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Called before each step; may change the weights, as a function of them and the step."""

    def gradients(
        self, network: nn.Module, batch: Batch, step: int, autocast: Callable[[], AbstractContextManager]
    ) -> dict[str, Tensor]:
        """Add the gradients of a batch, the forward pass under `autocast()`. Returns what to show: `loss` and other
        scalars, detached and on the device of the network."""
        raise NotImplementedError

    def formerly(self, network: nn.Module, settings: dict[str, Any]) -> dict[str, Any] | None:
        """What runs of former versions, which are gone on with, have as their identity in place of the objective, the
        network and the `settings`; None where they had no such objective."""
        return None


def train(
    network: nn.Module,
    mixtures: Mixtures,
    objective: Objective,
    settings: TrainingSettings,
    folder: Path | None = None,
    tracker: Tracker | None = None,
    description: str = "training",
    after_epoch: Callable[[int], Mapping[str, float] | None] | None = None,
) -> None:
    """Train `network` in place.

    With a `folder`, checkpoints go there, and a run that finds one goes on from it if it began with the same initial
    weights, so draw them from a seed; finished weights are kept as
    `weights.safetensors`, and a finished run returns at once. Without, nothing is written. `after_epoch(epoch)` is
    called with 1, 2, … after each epoch, and what it returns is shown and tracked. Raises UserError when the folder
    holds a run of other settings or data. Of several processes, each trains its own copy to the same weights, and rank
    0 alone writes, tracks and calls `after_epoch`.
    """
    given = {"settings": asdict(settings), "mixtures": mixtures.identity, "initial": weights_hash(network)}
    identity = identity_hash(given | {"objective": repr(objective), "network": architecture(network)})
    former = objective.formerly(network, given["settings"])
    known = [identity, *([identity_hash(given | former)] if former else [])]
    fabric = connect(chosen_precision(settings.precision, torch.cuda.is_available()))
    first = fabric.is_global_zero
    tracker = tracker if tracker and first else Silent()
    if fabric.world_size > 1:
        mixtures = mixtures.share(fabric.global_rank, fabric.world_size)
    agree(fabric, "settings, data and initial weights", identity)
    network.to(fabric.device)
    if folder and _finished(folder, known):
        fill(network, read_tensors(folder / WEIGHTS, "network")[0], folder / WEIGHTS)
        network.eval()
        return
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.0)
    start = _resume(folder, network, optimizer, known) if folder else 0
    agree(fabric, "checkpoint", start)
    network.train()
    progress = tqdm(
        total=settings.steps,
        initial=start,
        desc=description,
        unit="step",
        mininterval=SHOWN_EVERY,
        leave=folder is not None,
        disable=not first or in_worker(),
    )
    meter, looked = Meter(settings), {}
    for step, batch in zip(
        range(start, settings.steps), batches(mixtures, start, settings.steps, fabric.device), strict=True
    ):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        objective.prepare(network, optimizer, step)
        optimizer.zero_grad()
        with _random_numbers(settings.seed, step, fabric):
            figures = objective.gradients(network, batch, step, fabric.autocast)
        values = torch.stack([value.float() for value in figures.values()])
        values = average_gradients(fabric, network, values)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
        meter.add([*figures, "gradient_norm"], torch.cat([values, norm.float()[None]]))
        if fabric.device.type == "cpu":
            meter.check()
        optimizer.step()
        progress.update()
        if not progress.disable and meter.waited():
            progress.set_postfix_str(meter.text(step, looked), refresh=False)
        done = step + 1
        saves = folder is not None and (done % settings.checkpoint_every == 0 or done == settings.steps)
        if saves or done % settings.batches_per_epoch == 0 or done == settings.steps:
            meter.check()
        if done % settings.batches_per_epoch == 0:
            shown = meter.read(step)
            if after_epoch and first:
                network.eval()
                found = after_epoch(done // settings.batches_per_epoch) or {}
                network.train()
                shown, looked = shown | found, found or looked
            tracker.log({f"{description}/{name}": value for name, value in shown.items()} | {"step": done})
            meter.restart_clock()
        if saves and first:
            _checkpoint(folder, network, optimizer, done, identity)
    progress.close()
    network.eval()
    if folder and first:
        save(network, folder / WEIGHTS, training=asdict(settings), run=identity, lip_region=mixtures.lip_region)
    fabric.barrier()  # what is written is there, whichever rank asks next


class Meter:
    """Running means of what training shows. They stay on the device, since reading them waits for all it has to do."""

    def __init__(self, settings: TrainingSettings) -> None:
        self.settings = settings
        self.names: list[str] = []
        self.means: Tensor | None = None
        self.read_at = 0.0
        self.restart_clock()

    def restart_clock(self) -> None:
        """Clips a second are counted from here."""
        self.steps, self.began = 0, time.monotonic()

    def add(self, names: list[str], values: Tensor) -> None:
        """Figures of a step, (names,)."""
        self.names, self.steps = names, self.steps + 1
        self.means = values if self.means is None else values.lerp(self.means, SMOOTHING)

    def check(self) -> None:
        """Raises Diverged when a gradient of any step so far was not finite: a running mean never recovers from it."""
        if not self.means[-1].isfinite():
            rate = self.settings.learning_rate
            raise Diverged(f"learning_rate: training diverged at {rate:g}; lower it")

    def waited(self) -> bool:
        """Whether it is time to show figures again."""
        return time.monotonic() - self.read_at >= SHOWN_EVERY

    def read(self, step: int) -> dict[str, float]:
        means = dict(zip(self.names, self.means.tolist(), strict=True))
        self.read_at = time.monotonic()
        clips = self.steps * self.settings.batch_size / max(self.read_at - self.began, 1e-9)
        return means | {"learning_rate": self.settings.rate(step), "clips_per_second": clips}

    def text(self, step: int, looked: Mapping[str, float]) -> str:
        """For a line on the terminal, with what the last look after an epoch returned."""
        figures = self.read(step)
        quality = [f"SI-SNR {figures['si_snr']:.2f} dB"] if "si_snr" in figures else []
        parts = [*quality, f"loss {figures['loss']:.3g}", f"gradient {figures['gradient_norm']:.2g}"]
        parts += [f"rate {figures['learning_rate']:.1e}", f"{figures['clips_per_second']:.0f} clips/s"]
        return ", ".join(parts + [f"{name.rpartition('/')[2]} {value:.2f}" for name, value in looked.items()])


@contextmanager
def _random_numbers(seed: int, step: int, fabric: Fabric) -> Iterator[None]:
    """Random numbers that a network draws in a step, as dropout does, follow from the step and the rank alone."""
    device = fabric.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.SeedSequence((seed, step, fabric.global_rank)).generate_state(1, np.uint64)[0]))
        yield


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
        pin_memory=torch.device(device).type == "cuda",  # from pinned memory alone is a copy to a GPU asynchronous
    )
    for batch in loader:
        yield batch.to(device)


def _finished(folder: Path, known: list[str]) -> bool:
    return (folder / WEIGHTS).is_file() and read_notes(folder / WEIGHTS).get("run") in known


def device() -> torch.device:
    """Where `train` trains: the GPU where there is one."""
    return Fabric(accelerator="auto", devices=1).device


def _checkpoint(folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer, step: int, identity: str) -> None:
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        state = optimizer.state[parameter]
        tensors |= {f"{key}.{name}": state[key] for key in ("exp_avg", "exp_avg_sq", "step") if key in state}
    write_tensors(folder / CHECKPOINT, tensors, {"kind": "checkpoint", "step": step, "run": identity})


def _resume(folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer, known: list[str]) -> int:
    """Load the checkpoint of `folder`, if it has one, and return the step at which to go on.

    Raises UserError when it belongs to another run, or is damaged.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return 0
    tensors, header = read_tensors(path, "checkpoint")
    if header.get("run") not in known:
        raise UserError(
            f"{path}: belongs to a run with other settings, data or initial weights; "
            f"choose another run folder, or delete {path.parent} to start over"
        )
    weights = {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
    fill(network, weights, path)
    try:
        for name, parameter in network.named_parameters():
            if f"step.{name}" in tensors:
                moments = {key: tensors[f"{key}.{name}"].to(parameter.device) for key in ("exp_avg", "exp_avg_sq")}
                optimizer.state[parameter] = {
                    **moments,
                    "step": tensors[f"step.{name}"],
                }  # which AdamW keeps on the CPU
        return convert(header["step"], int)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: damaged ({error}); {AGAIN}") from error
