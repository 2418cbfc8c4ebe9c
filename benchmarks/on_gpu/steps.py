"""How long a training step takes, and how much of the matrix rate it uses.

Multiply-accumulates are those of `eval.costs`; a training step does three times those of its forward pass.
"""

from __future__ import annotations

import argparse
import gc
import resource
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.on_gpu.arithmetic import autocasting, noise, timed
from benchmarks.on_gpu.rows import Rows
from eval.costs import exit_macs, macs
from supernet import AVConvTasNet, SearchSpace
from supernet.devices import device
from supernet.recipe import NetworkObjective, SupernetObjective
from supernet.settings import SupernetSettings
from supernet.space import PAPER_WINNER

GRADIENT_NORM = 5.0
GOAL = 0.35  # of the matrix rate


@dataclass
class Step:
    """A training step on one batch of noise, as `train` takes it; called with the number of the step.

    Args:
        kind: `supernet`, or `single`, the paper's winner alone.
        lowered: weights, too, in bf16, and no autocast: less than training needs, but what is left without casts.
        optimizer: further arguments of AdamW.
    """

    kind: str
    width: float
    size: int
    seconds: float
    lowered: bool = False
    optimizer: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        dtype = torch.bfloat16 if self.lowered else torch.float32
        subnet = SearchSpace.largest if self.kind == "supernet" else PAPER_WINNER
        self.network = AVConvTasNet(subnet, self.width).to(device(), dtype).train()
        space = SearchSpace(self.width)
        single, shared = NetworkObjective(), SupernetObjective.of(space, SupernetSettings())
        self.objective = shared if self.kind == "supernet" else single
        self.module = self.network  # or what torch.compile makes of it
        self.batch = noise(self.size, self.seconds, dtype).to(device())
        self.autocast = nullcontext if self.lowered else autocasting()
        options = {"lr": 1e-4, "weight_decay": 0.0, "fused": True} | (self.optimizer or {})
        self._update = torch.optim.AdamW(self.network.parameters(), **options)

    def __call__(self, step: int) -> None:
        self._update.zero_grad(set_to_none=True)
        self.objective.gradients(self.module, self.batch, step, self.autocast)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
        self._update.step()

    def flops(self, steps: int) -> float:
        """Mean of so many steps."""
        seconds = 3 * 2 * self.size * self.seconds
        if isinstance(self.objective, NetworkObjective):
            return seconds * macs(PAPER_WINNER, self.width)
        visits = [visit for step in range(steps) for visit in self.objective.sampler.visits(step)]
        exits = sum(exit_macs(visit.subnet, self.width) * (len(visit.exits) - 1) for visit in visits)
        return seconds * (sum(macs(visit.subnet, self.width) for visit in visits) + exits) / steps


def time_all(rows: Rows, options: argparse.Namespace) -> None:
    """Every size of batch, in bf16 as it trains; and the largest that fitted with weights in bf16."""
    for kind in ("single", "supernet"):
        fitting = []
        for size in options.batches:
            with rows.guarded("steps", name := f"{kind}, {size} clips"):
                add(rows, "steps", name, Step(kind, options.width, size, options.seconds), options)
                fitting.append(size)
            release()
        if fitting:
            with rows.guarded("steps", name := f"{kind}, {fitting[-1]} clips, bf16 weights"):
                add(rows, "steps", name, Step(kind, options.width, fitting[-1], options.seconds, True), options)
            release()


def add(
    rows: Rows,
    part: str,
    name: str,
    step: Step,
    options: argparse.Namespace,
    run: Callable[[int], object] | None = None,
) -> None:
    """Time a step, or `run` in place of it, and add what came out."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    seconds = timed(run or step, options.steps)
    if torch.cuda.is_available():
        memory, whose = torch.cuda.max_memory_allocated(), "peak of its tensors"
    else:
        memory, whose = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "peak of the process so far"
    rows.add(part, f"{name}: step", 1e3 * seconds, "ms", f"{step.size / seconds:.0f} clips/s of {step.seconds:g} s")
    rows.add(part, f"{name}: memory", memory / 1e9, "GB", whose)
    if options.rate:
        share = step.flops(options.steps) / seconds / 1e12 / options.rate
        verdict = f"goal {GOAL:.0%}: {'met' if share >= GOAL else 'missed'}"
        rows.add(part, f"{name}: of the matrix rate", 100 * share, "%", verdict)


def release() -> None:
    """Give back what a variant held, or what an error still holds of it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
