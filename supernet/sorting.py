"""Puts the channels of a supernet in order of importance, so that the prefixes that subnets use are the better ones.
The function of the largest stays the same. Source: Once-for-all (Cai et al., 2020), elastic width.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from supernet.elastic import parameter_axes
from supernet.model import AVConvTasNet

GLOBAL = ("bottleneck", "visual")  # one order for the whole network; encoder channels hold the inverse basis, in order


@torch.no_grad()
def sort_channels(network: AVConvTasNet, optimizer: torch.optim.Optimizer) -> None:
    """Permute weights, and what the optimiser keeps of each, in place."""
    orders = {scope: _order(network, *scope) for scope in _scopes(network)}
    for name, parameter, axes in parameter_axes(network):
        for dimension, axis in enumerate(axes):
            scope = next((scope for scope in orders if scope[1] == axis and name.startswith(scope[0])), None)
            if scope is not None:
                state = optimizer.state.get(parameter, {})
                for tensor in [parameter, *(state[key] for key in ("exp_avg", "exp_avg_sq") if key in state)]:
                    tensor.copy_(tensor.index_select(dimension, orders[scope]))


def _scopes(network: AVConvTasNet) -> Iterator[tuple[str, str]]:
    """(prefix of parameter names, axis): where channels of an axis must keep one order."""
    for axis in GLOBAL:
        yield "", axis
    for name, _, axes in parameter_axes(network):
        if name.endswith("depthwise.weight") and "hidden" in axes:
            yield name.removesuffix("depthwise.weight"), "hidden"


def _order(network: AVConvTasNet, prefix: str, axis: str) -> Tensor:
    """Channels by the weight that their readers give them (L1), heaviest first."""
    readers = [
        parameter.abs().sum(0)
        for name, parameter, axes in parameter_axes(network)
        if name.startswith(prefix) and len(axes) == 2 and axes[1] == axis
    ]
    return torch.stack(readers).sum(0).argsort(descending=True, stable=True)
