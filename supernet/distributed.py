"""Training in several processes, one a GPU or a share of the cores, as `torchrun` starts them on one or many machines.
All ranks hold the same network and take the same steps; each sees its own share of the batch, and gradients are
averaged. Rank 0 alone writes. The run's folder and the corpus must be shared by all machines.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from supernet.errors import UserError


def process_rank() -> int:
    """Number of this process, 0 when it is alone."""
    return int(os.environ["RANK"]) if torch.distributed.is_torchelastic_launched() else 0


def world_size() -> int:
    """How many processes train together."""
    return int(os.environ["WORLD_SIZE"]) if torch.distributed.is_torchelastic_launched() else 1


def local_size() -> int:
    """How many of them on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if torch.distributed.is_torchelastic_launched() else 1


def fabric(precision: Any = "32-true") -> Fabric:
    """Device and precision of this process, connected with the others if there are any."""
    if world_size() == 1:
        return Fabric(accelerator="auto", devices=1, precision=precision)
    machines = world_size() // local_size()
    connected = Fabric(
        accelerator="auto", devices=local_size(), num_nodes=machines, strategy="ddp", precision=precision
    )
    connected.launch()
    return connected


def agree(fabric: Fabric, what: str, value: Any) -> None:
    """Raises UserError unless all ranks have the same value."""
    if fabric.world_size > 1 and fabric.broadcast(value) != value:
        raise UserError(f"{what}: rank {fabric.global_rank} has another than rank 0; share run folder and corpus")


def average_gradients(fabric: Fabric, network: nn.Module, figures: Tensor) -> Tensor:
    """Put the mean over all ranks into the gradients, and return that of `figures`. Each rank has as many clips."""
    if fabric.world_size == 1:
        return figures
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    own = torch.cat([gradient.flatten() for gradient in gradients] + [figures])
    mean: Any = fabric.all_reduce(own, reduce_op="mean")
    *means, figures = mean.split([gradient.numel() for gradient in gradients] + [len(figures)])
    for gradient, part in zip(gradients, means, strict=True):
        gradient.copy_(part.view_as(gradient))
    return figures
