"""Where a network runs."""

from __future__ import annotations

from typing import Literal

import torch
from lightning_fabric import Fabric

from supernet.errors import UserError

Device = Literal["auto", "cpu", "cuda"]


def device(name: Device = "auto") -> torch.device:
    """`auto`, as all training has it, is the GPU where there is one. Raises UserError where there is no `cuda`."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: PyTorch finds no cuda GPU here; choose cpu or auto")
    return Fabric(accelerator="auto", devices=1).device if name == "auto" else torch.device(name)


def described(on: torch.device) -> str:
    """The device in words."""
    return torch.cuda.get_device_name(on) if on.type == "cuda" else f"the {on.type.upper()}"
