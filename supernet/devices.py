"""Where a network runs."""

from __future__ import annotations

from typing import Literal

import torch

from supernet.errors import UserError

Device = Literal["auto", "cpu", "cuda"]


def device(name: Device = "auto") -> torch.device:
    """`auto`, as all training has it, is the GPU where there is one. Raises UserError where there is no `cuda`."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: PyTorch finds no cuda GPU here; choose cpu or auto")
    if name != "auto":
        return torch.device(name)
    if not torch.accelerator.is_available():
        return torch.device("cpu")
    from lightning_fabric import Fabric  # which takes a second that a CPU need not wait for

    return Fabric(accelerator="auto", devices=1).device


def described(on: torch.device) -> str:
    """The device in words."""
    return torch.cuda.get_device_name(on) if on.type == "cuda" else f"the {on.type.upper()}"
