"""The one training loop: of the supernet, the 10-epoch fine-tune, the retrain from scratch, and any other network. They
differ in the objective, which adds the gradients of a batch, and in the initial weights.

Every length is counted in optimiser steps. A batch, and the random numbers of a step, are pure functions of (seed,
step), so weights, optimiser moments and the step number are the whole state: a run killed at any moment and started
again ends with the same weights as one left alone, on the same machine and threads. Under `torchrun` several processes
share every batch (`supernet.distributed`): the same training, up to rounding.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from supernet.checkpoint import architecture, fill, identity_hash, read_tensors, save, weights_hash
from supernet.data.mixing.batches import Batch
from supernet.distributed import agree, average_gradients
from supernet.distributed import fabric as connect
from supernet.errors import UserError
from supernet.kernels.fused import fused_blocks, missing
from supernet.model import Block
from supernet.processes import in_worker
from supernet.resuming import CHECKPOINT, WEIGHTS, Checkpoint, finished, write_checkpoint
from supernet.settings import Kernels, TrainingSettings, chosen_precision, training_identity
from supernet.tracking import Silent, Tracker

Network = TypeVar("Network", bound=nn.Module)
SMOOTHING = 0.95  # of the figures shown while training
SHOWN_EVERY = 1.0  # s


class Diverged(UserError):
    """A gradient was not finite. On a CPU the weights are those of the step before; a checkpoint never holds others."""


class Mixtures(Protocol):
    """Batches as a pure function of the step; `identity` says, in JSON values, what they are drawn from, `loaders` how
    many processes make them ahead (0: this one, when they are needed), `lip_region` how the mouths were found."""

    @property
    def identity(self) -> dict[str, Any]: ...

    @property
    def loaders(self) -> int: ...

    @property
    def lip_region(self) -> str: ...

    def batch(self, step: int) -> Batch: ...

    def share(self, rank: int, world: int) -> Mixtures:
        """The same, one of `world` equal parts of each batch; asked for when several processes train."""


class Objective(Generic[Network]):
    """What a batch teaches a network. Its `repr` is part of a training's identity, so make it a frozen dataclass."""

    def prepare(self, network: Network, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Called before each step; may change the weights, as a function of them and the step."""

    def gradients(
        self, network: Network, batch: Batch, step: int, autocast: Callable[[], AbstractContextManager]
    ) -> dict[str, Tensor]:
        """Add the gradients of a batch, the forward pass under `autocast()`. Returns what to show: `loss` and other
        scalars, detached and on the device of the network."""
        raise NotImplementedError

    def formerly(self, network: Network, settings: dict[str, Any]) -> dict[str, Any] | None:
        """What runs of former versions, which are gone on with, have as their identity in place of the objective, the
        network and the `settings`; None where they had no such objective."""
        return None


def train(
    network: Network,
    mixtures: Mixtures,
    objective: Objective[Network],
    settings: TrainingSettings,
    folder: Path | None = None,
    *,
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
    known = _identities(network, mixtures, objective, settings)
    identity, settings = next(iter(known.items()))
    fabric = connect(settings.precision)
    first = fabric.is_global_zero
    tracker = tracker if tracker and first else Silent()
    if fabric.world_size > 1:
        mixtures = mixtures.share(fabric.global_rank, fabric.world_size)
    agree(fabric, "settings, data and initial weights", identity)
    network.to(fabric.device)
    if folder and finished(folder, known):
        fill(network, read_tensors(folder / WEIGHTS, "network")[0], folder / WEIGHTS)
        network.eval()
        return
    checkpoint = Checkpoint(folder, known) if folder and (folder / CHECKPOINT).is_file() else None
    if checkpoint:
        settings = known[checkpoint.run]
        identity = next(identity for identity, begun in known.items() if begun == settings)
    compiled = settings.kernels == "compiled"
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        weight_decay=0.0,
        fused=compiled or fabric.device.type == "cuda",
    )
    start = checkpoint.restore(network, optimizer) if checkpoint else 0
    agree(fabric, "checkpoint", start)
    _keep_memory()
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
    if folder and first:
        progress.write(f"{description}: kernels {settings.kernels}, precision {settings.precision}", file=sys.stderr)
    meter, looked = Meter(settings), dict[str, float]()
    for step, batch in zip(
        range(start, settings.steps), batches(mixtures, start, settings.steps, fabric.device), strict=True
    ):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        objective.prepare(network, optimizer, step)
        optimizer.zero_grad()
        with _random_numbers(settings.seed, step, fabric), fused_blocks(compiled):
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
        saves = done % settings.checkpoint_every == 0 or done == settings.steps
        if saves or done % settings.batches_per_epoch == 0 or done == settings.steps:
            meter.check()
        if done % settings.batches_per_epoch == 0:
            shown = meter.read(step)
            if after_epoch and first:
                network.eval()
                found = dict(after_epoch(done // settings.batches_per_epoch) or {})
                network.train()
                shown, looked = shown | found, found or looked
            tracker.log({f"{description}/{name}": value for name, value in shown.items()} | {"step": done})
            meter.restart_clock()
        if folder and saves and first:
            write_checkpoint(folder, network, optimizer, done, identity)
    progress.close()
    network.eval()
    if folder and first:
        save(network, folder / WEIGHTS, training=asdict(settings), run=identity, lip_region=mixtures.lip_region)
    fabric.barrier()  # what is written is there, whichever rank asks next


def choices(settings: TrainingSettings, network: nn.Module) -> list[TrainingSettings]:
    """The settings with what `auto` stands for here: first as a new training of the network has them, then as one that
    goes on may have begun. Raises UserError for compiled kernels that cannot be had."""
    precision = chosen_precision(settings.precision, torch.cuda.is_available())
    if torch.accelerator.is_available() or precision != "32-true":
        obstacle: str | None = "they are for a CPU in fp32"
    elif not any(isinstance(module, Block) and module.fusible for module in network.modules()):
        obstacle = "they are for blocks with the norm global"
    else:
        obstacle = missing()
    if settings.kernels == "compiled" and obstacle:
        raise UserError(f"kernels: there are no compiled ones for this training ({obstacle}); choose auto or torch")
    possible: list[Kernels] = ["torch"] if obstacle else ["compiled", "torch"]
    chosen = possible if settings.kernels == "auto" else [settings.kernels]
    return [replace(settings, precision=precision, kernels=kernels) for kernels in chosen]


def _identities(
    network: Network, mixtures: Mixtures, objective: Objective[Network], settings: TrainingSettings
) -> dict[str, TrainingSettings]:
    """What a folder may call this training, and the settings with which it then goes on; a new one is called by the
    first."""
    given = {"mixtures": mixtures.identity, "initial": weights_hash(network)}
    today = given | {"objective": repr(objective), "network": architecture(network)}
    possible = choices(settings, network)
    known = {identity_hash(today | {"settings": training_identity(asdict(each))}): each for each in possible}
    last = possible[-1]
    if (last.kernels, last.precision) == ("torch", "32-true"):  # as there was nothing else in former versions
        for precision in ("auto", "32-true"):
            former = asdict(settings) | {"precision": precision}
            del former["kernels"]
            known[identity_hash(today | {"settings": former})] = last
            if before := objective.formerly(network, former):
                known[identity_hash(given | before)] = last
    return known


@cache
def _keep_memory() -> None:
    """Have glibc keep what a step frees for the next one; from the system it comes in pages that are cleared first."""
    trim, mmap = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        if mallopt(mmap, 1 << 30) or mallopt(mmap, 32 << 20):  # the most that older versions allow
            mallopt(trim, 1 << 30)


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
        if self.means is not None and not self.means[-1].isfinite():
            rate = self.settings.learning_rate
            raise Diverged(f"learning_rate: training diverged at {rate:g}; lower it")

    def waited(self) -> bool:
        """Whether it is time to show figures again."""
        return time.monotonic() - self.read_at >= SHOWN_EVERY

    def read(self, step: int) -> dict[str, float]:
        means = dict(zip(self.names, [] if self.means is None else self.means.tolist(), strict=True))
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
