"""A subnet as a network of its own."""

from __future__ import annotations

import torch

from supernet.elastic import parameter_axes, prefix
from supernet.errors import UserError
from supernet.model import AVConvTasNet
from supernet.space import Subnet, channels


@torch.no_grad()
def extract(network: AVConvTasNet, subnet: Subnet) -> AVConvTasNet:
    """A network of shape `subnet` with the weights that `network` uses for it.

    `extract(net, subnet)(mixture, lips)` equals `net(mixture, lips, subnet)` bit for bit (CPU, fp32).
    Raises UserError when `network` is smaller than `subnet` along some axis.
    """
    for axis in ("encoder", "bottleneck", "blocks", "repeats", "expansion", "visual"):
        if getattr(subnet, axis) > getattr(network.subnet, axis):
            raise UserError(f"subnet {subnet}: does not fit into a network built at {network.subnet} ({axis})")
    small = type(network)(subnet, network.width, network.causal, network.norm)
    shape = channels(subnet, network.width)
    weights = dict(network.named_parameters())
    for name, parameter, axes in parameter_axes(small):
        parameter.copy_(prefix(weights[name], axes, shape))
    return small.to(next(network.parameters()).device).train(network.training)
