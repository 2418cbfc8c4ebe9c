"""Sizes of the lip encoder, apart from the network so that costs are known without torch.

Used by supernet.lip_encoder, which builds it, and by eval.costs, which counts it.
"""

PIXELS = 88  # side of the grey lip region
MOTION_FRAMES = 3  # video frames that the first convolution sees
STEM_KERNEL, STEM_STRIDE = 5, 4  # 88 -> 22 pixels
SIDES = (22, 11, 6)  # pixels after the first convolution and after each stage, which halves them
TEMPORAL_TAPS = 5  # video frames that each temporal layer sees
TEMPORAL_DILATIONS = (1, 2)  # one temporal layer each
STAGES = (48, 96, 128)  # trunk channels at full width


def stage_channels(width: float) -> tuple[int, ...]:
    """Trunk channels at `width`, never under a sixth of the full-width ones: a mouth needs some to be seen at all."""
    return tuple(max(round(count * width), count // 6) for count in STAGES)
