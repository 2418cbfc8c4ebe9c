"""Elastic layers: each parameter names the axes along which it is sliced.

Everything is channels-last, (batch, time, channels): a 1x1 convolution is then one matrix product, and the prefix of
channels that a subnet uses is one slice of its weight. `prefix` is the only place where a weight becomes its slice;
forward, extraction, counting and the zero-gradient test all go through it. The active subnet is an argument
(`channels`), never state of a module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from supernet.kernels.operators import SharedSlopePReLU, ShiftedSum
from supernet.space import Channels

Axis = str | int  # a name in Channels, sliced to its prefix; or a fixed size, never sliced
Norm = Literal["global", "frame"]


def size(axis: Axis, channels: Channels) -> int:
    return axis if isinstance(axis, int) else getattr(channels, axis)


def prefix(parameter: Tensor, axes: tuple[Axis, ...], channels: Channels) -> Tensor:
    """The prefix of `parameter` that a network of these `channels` uses, contiguous as in the extracted network.

    Contiguity is what makes a slice and its extraction run the same kernels, so that they agree bit for bit.
    """
    return parameter[tuple(slice(size(axis, channels)) for axis in axes)].contiguous()


class ElasticLayer(nn.Module):
    """A layer whose parameters each name their axes in `self.axes`."""

    def __init__(self) -> None:
        super().__init__()
        self.axes: dict[str, tuple[Axis, ...]] = {}

    def add(self, name: str, axes: tuple[Axis, ...], channels: Channels, fill: float = 0.0) -> nn.Parameter:
        parameter = nn.Parameter(torch.full([size(axis, channels) for axis in axes], fill))
        self.axes[name] = axes
        self.register_parameter(name, parameter)
        return parameter

    def prefix(self, name: str, channels: Channels) -> Tensor:
        return prefix(getattr(self, name), self.axes[name], channels)


def parameter_axes(network: nn.Module) -> Iterator[tuple[str, nn.Parameter, tuple[Axis, ...]]]:
    """Every parameter of `network` by its full name, with its axes (fixed sizes where it is not elastic)."""
    for path, module in network.named_modules():
        axes = module.axes if isinstance(module, ElasticLayer) else {}
        for name, parameter in module.named_parameters(path, recurse=False):
            yield name, parameter, axes.get(name.rpartition(".")[2], tuple(parameter.shape))


class Linear(ElasticLayer):
    """A 1x1 convolution over (batch, time, inputs) -> (batch, time, outputs)."""

    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(self, inputs: Axis, outputs: Axis, channels: Channels) -> None:
        super().__init__()
        weight = self.add("weight", (outputs, inputs), channels)
        bias = self.add("bias", (outputs,), channels)
        bound = weight.shape[1] ** -0.5
        nn.init.uniform_(weight, -bound, bound)
        nn.init.uniform_(bias, -bound, bound)

    def forward(self, x: Tensor, channels: Channels) -> Tensor:
        return F.linear(x, self.prefix("weight", channels), self.prefix("bias", channels))


class PReLU(ElasticLayer):
    """PReLU with one slope for all channels, as in Conv-TasNet."""

    slope: nn.Parameter

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.add("slope", (1,), channels, fill=0.25)

    def forward(self, x: Tensor) -> Tensor:
        # Reading the slope would stall a GPU, whose own kernel is fast; a CPU's costs three times this one.
        return F.prelu(x, self.slope) if x.is_cuda else SharedSlopePReLU.apply(x, self.slope)


class LayerNorm(ElasticLayer):
    """Normalisation with live statistics and sliced affine weights, so that no subnet needs recalibration.

    `frame`: over the channels of one frame (causal). `global`: over channels and time of the clip (gLN of Conv-TasNet).
    """

    def __init__(self, axis: Axis, channels: Channels, norm: Norm) -> None:
        super().__init__()
        self.norm = norm
        self.add("weight", (axis,), channels, fill=1.0)
        self.add("bias", (axis,), channels)

    def forward(self, x: Tensor, channels: Channels) -> Tensor:
        weight, bias = self.prefix("weight", channels), self.prefix("bias", channels)
        if self.norm == "frame":
            return F.layer_norm(x, x.shape[-1:], weight, bias)
        # As an image one pixel high, its memory is recognised as channels-last; one pixel wide, it would be copied.
        image = x.transpose(1, 2).unsqueeze(2)
        return F.group_norm(image, 1, weight, bias).squeeze(2).transpose(1, 2)


class DepthwiseConv(ElasticLayer):
    """Dilated depthwise convolution over time: (batch, time, axis) -> the same shape; zero beyond the ends.

    Causal: the taps look back only. Otherwise they are centred.
    """

    def __init__(self, axis: Axis, channels: Channels, taps: int, dilation: int, causal: bool) -> None:
        super().__init__()
        self.offsets = [(k - (taps - 1 if causal else taps // 2)) * dilation for k in range(taps)]
        weight = self.add("weight", (axis, taps), channels)
        bias = self.add("bias", (axis,), channels)
        nn.init.uniform_(weight, -(taps**-0.5), taps**-0.5)
        nn.init.uniform_(bias, -(taps**-0.5), taps**-0.5)

    def forward(self, x: Tensor, channels: Channels) -> Tensor:
        weight, bias = self.prefix("weight", channels), self.prefix("bias", channels)
        return ShiftedSum.apply(x, weight, bias, self.offsets)
