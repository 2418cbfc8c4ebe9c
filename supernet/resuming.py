"""How a training goes on where it was killed: its checkpoint, and its finished weights."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from supernet.checkpoint import AGAIN, fill, read_notes, read_tensors, write_tensors
from supernet.errors import UserError
from supernet.storage.records import convert

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"


def finished(folder: Path, known: Container[str]) -> bool:
    """Whether the folder holds the weights of a training with one of the known identities."""
    return (folder / WEIGHTS).is_file() and read_notes(folder / WEIGHTS).get("run") in known


class Checkpoint:
    """Weights, optimiser moments and step of a training that is under way, as its folder holds them.

    Raises UserError when they are of another training than the known ones, or damaged.
    """

    def __init__(self, folder: Path, known: Container[str]) -> None:
        self.path = folder / CHECKPOINT
        self.tensors, header = read_tensors(self.path, "checkpoint")
        self.run = str(header.get("run"))
        if self.run not in known:
            raise UserError(
                f"{self.path}: belongs to a run with other settings, data or initial weights; "
                f"choose another run folder, or delete {folder} to start over"
            )
        try:
            self.step = convert(header.get("step"), int)
        except ValueError as error:
            raise UserError(f"{self.path}: damaged (step: {error}); {AGAIN}") from error

    def restore(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        """Put the state into both, and return the step at which to go on."""
        weights = {name.removeprefix("network."): t for name, t in self.tensors.items() if name.startswith("network.")}
        fill(network, weights, self.path)
        for name, parameter in network.named_parameters():
            if f"step.{name}" in self.tensors:
                optimizer.state[parameter] = self._state(name, parameter, optimizer.defaults["fused"])
        return self.step

    def _state(self, name: str, parameter: nn.Parameter, fused: bool) -> dict[str, Tensor]:
        try:
            moments = {key: self.tensors[f"{key}.{name}"].to(parameter.device) for key in ("exp_avg", "exp_avg_sq")}
        except KeyError as error:
            raise UserError(f"{self.path}: damaged (lacks {error}); {AGAIN}") from error
        step = self.tensors[f"step.{name}"]  # which AdamW keeps on the CPU unless it is fused
        return {**moments, "step": step.to(parameter.device) if fused else step}


def write_checkpoint(
    folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer, step: int, identity: str
) -> None:
    """Keep the state after `step` steps."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        state: dict[str, Any] = optimizer.state[parameter]
        tensors |= {f"{key}.{name}": state[key] for key in ("exp_avg", "exp_avg_sq", "step") if key in state}
    write_tensors(folder / CHECKPOINT, tensors, {"kind": "checkpoint", "step": step, "run": identity})
