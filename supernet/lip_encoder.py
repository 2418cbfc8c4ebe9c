"""The compact lip encoder: 88 x 88 grey frames to one vector for each video frame.

A trunk of four convolutions sees each frame (the first one also its neighbours in time) and does not depend on any
elastic axis, so one pass serves all 324 subnets. The head slices V: a pointwise and a temporal layer, then the
projection to the bottleneck.
"""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from supernet.elastic import DepthwiseConv, LayerNorm, Linear, PReLU
from supernet.space import (
    MOTION_FRAMES,
    SIDES,
    STEM_KERNEL,
    STEM_STRIDE,
    TEMPORAL_DILATIONS,
    TEMPORAL_TAPS,
    Channels,
    stage_channels,
)

MEAN, DEVIATION = 0.421, 0.165  # of grey lip frames in [0, 1]: the convention of auto_avsr, CTCNet, RTFS-Net


class LipTrunk(nn.Module):
    """(batch, frames, 88, 88) uint8 -> (batch, frames, features): 88 -> 22 -> 11 -> 6 pixels, then one vector."""

    def __init__(self, width: float, causal: bool) -> None:
        super().__init__()
        first, second, third = stage_channels(width)
        self.before = MOTION_FRAMES - 1 if causal else MOTION_FRAMES // 2
        self.stem = nn.Conv2d(MOTION_FRAMES, first, STEM_KERNEL, STEM_STRIDE, padding=STEM_KERNEL // 2)
        self.stages = nn.ModuleList([_Separable(first, second), _Separable(second, third)])
        self.norms = nn.ModuleList([nn.GroupNorm(1, count) for count in (first, second, third)])
        self.pool = nn.Conv2d(
            third, third, SIDES[-1], groups=third
        )  # a learned place for each feature, where a mean forgets it
        self.features = third

    def forward(self, lips: Tensor) -> Tensor:
        frames = lips.shape[1]
        x = (lips.to(self.stem.weight.dtype) / 255 - MEAN) / DEVIATION
        x = F.pad(x, (0, 0, 0, 0, self.before, MOTION_FRAMES - 1 - self.before))
        x = rearrange(x.unfold(1, MOTION_FRAMES, 1), "batch frames h w motion -> (batch frames) motion h w")
        x = self.norms[0](F.relu(self.stem(x)))
        for stage, norm in zip(self.stages, self.norms[1:], strict=True):
            x = norm(F.relu(stage(x)))
        return rearrange(self.pool(x), "(batch frames) c 1 1 -> batch frames c", frames=frames)


class _Separable(nn.Sequential):
    """Depthwise 3 x 3 with stride 2, then pointwise."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, stride=2, padding=1, groups=inputs), nn.Conv2d(inputs, outputs, 1)
        )


class LipHead(nn.Module):
    """(batch, frames, features) -> (batch, frames, bottleneck), through V visual channels."""

    def __init__(self, features: int, channels: Channels, causal: bool) -> None:
        super().__init__()
        self.squeeze = Linear(features, "visual", channels)
        self.temporal = nn.ModuleList(
            DepthwiseConv("visual", channels, TEMPORAL_TAPS, dilation, causal) for dilation in TEMPORAL_DILATIONS
        )
        self.pointwise = nn.ModuleList(Linear("visual", "visual", channels) for _ in self.temporal)
        self.norms = nn.ModuleList(LayerNorm("visual", channels, "frame") for _ in self.temporal)
        self.activations = nn.ModuleList(PReLU(channels) for _ in self.temporal)
        self.project = Linear("visual", "bottleneck", channels)

    def forward(self, features: Tensor, channels: Channels) -> Tensor:
        x = self.squeeze(features, channels)
        for temporal, pointwise, norm, activation in zip(
            self.temporal, self.pointwise, self.norms, self.activations, strict=True
        ):
            x = x + activation(norm(pointwise(temporal(x, channels), channels), channels))
        return self.project(x, channels)
