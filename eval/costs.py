"""Parameters and MACs of a subnet in closed form, tested against the real network for all 324. Free of torch.

Called wherever a budget is spoken of: the quality table, the reward, the report. MACs count the multiply-accumulates
of convolutions and matrix products, lips included; norms, activations and the mask's product are left out, as is usual.
"""

from __future__ import annotations

from supernet.space import (
    MOTION_FRAMES,
    SIDES,
    STEM_KERNEL,
    TEMPORAL_DILATIONS,
    TEMPORAL_TAPS,
    Channels,
    Subnet,
    channels,
    stage_channels,
)
from supernet.timing import FRAME_RATE, KERNEL, SAMPLE_RATE, STRIDE

BLOCK_TAPS = 3  # of the dilated depthwise convolution
STAGE_TAPS = 9  # of the 3 x 3 depthwise convolutions of the lip trunk


def parameters(subnet: Subnet, width: float = 1.0) -> int:
    """Trainable parameters of the extracted network, lips included."""
    c = channels(subnet, width)
    norms_of = 2  # gain and bias a channel
    block = (
        _linear(c.bottleneck, c.hidden)
        + (BLOCK_TAPS + 1) * c.hidden
        + _linear(c.hidden, c.bottleneck)
        + 2 * norms_of * c.hidden
        + 2  # PReLU slopes
    )
    separator = (
        norms_of * c.encoder
        + _linear(c.encoder, c.bottleneck)
        + c.repeats * c.blocks * block
        + 1
        + _linear(c.bottleneck, c.encoder)
    )
    return 2 * KERNEL * c.encoder + separator + _lip_parameters(c, width)


def macs(subnet: Subnet, width: float = 1.0, seconds: float = 1.0, lips: bool = True) -> float:
    """Multiply-accumulates for `seconds` of audio, and of video where there are `lips`."""
    c = channels(subnet, width)
    block = 2 * c.bottleneck * c.hidden + BLOCK_TAPS * c.hidden
    latent_frame = 2 * KERNEL * c.encoder + 2 * c.encoder * c.bottleneck + c.repeats * c.blocks * block
    return seconds * (SAMPLE_RATE / STRIDE * latent_frame + lips * FRAME_RATE * _lip_macs(c, width))


def exit_macs(subnet: Subnet, width: float = 1.0, seconds: float = 1.0) -> float:
    """Multiply-accumulates that one more exit of a pass adds: a mask and a decoder."""
    c = channels(subnet, width)
    return seconds * SAMPLE_RATE / STRIDE * (c.encoder * c.bottleneck + KERNEL * c.encoder)


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _lip_parameters(c: Channels, width: float) -> int:
    first, second, third = stage_channels(width)
    trunk = (
        _linear(MOTION_FRAMES * STEM_KERNEL**2, first)
        + sum((STAGE_TAPS + 1) * a + _linear(a, b) for a, b in ((first, second), (second, third)))
        + 2 * (first + second + third)
        + (SIDES[-1] ** 2 + 1) * third
    )
    temporal = (TEMPORAL_TAPS + 1) * c.visual + _linear(c.visual, c.visual) + 2 * c.visual + 1
    return trunk + _linear(third, c.visual) + len(TEMPORAL_DILATIONS) * temporal + _linear(c.visual, c.bottleneck)


def _lip_macs(c: Channels, width: float) -> int:
    """For one video frame."""
    first, second, third = stage_channels(width)
    stem = MOTION_FRAMES * STEM_KERNEL**2 * first * SIDES[0] ** 2
    stages = sum(
        (STAGE_TAPS * a + a * b) * side**2 for a, b, side in ((first, second, SIDES[1]), (second, third, SIDES[2]))
    )
    temporal = TEMPORAL_TAPS * c.visual + c.visual**2
    head = third * c.visual + len(TEMPORAL_DILATIONS) * temporal + c.visual * c.bottleneck
    return stem + stages + SIDES[-1] ** 2 * third + head
