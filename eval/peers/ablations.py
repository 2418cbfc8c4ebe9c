"""Other ways to build the network, each a subclass that overrides one method; `ofa-avse recipes` trains them.

What `eval.costs` counts in closed form is AVConvTasNet alone.
"""

from __future__ import annotations

from torch import Tensor, nn

from supernet.elastic import Linear
from supernet.model import AVConvTasNet
from supernet.space import Channels


class ConcatenatedFusion(AVConvTasNet):
    """Lips are concatenated with the bottleneck and mixed down by a 1x1 convolution, instead of added.

    Of the convolution's matrix, the columns of the lips are the lip head's own projection, which is added as ever;
    those of the sound are one more layer of the bottleneck.
    """

    def bottleneck(self, built: Channels) -> nn.Module:
        return _Mixed(built)


class _Mixed(nn.Module):
    def __init__(self, built: Channels) -> None:
        super().__init__()
        self.reduce = Linear("encoder", "bottleneck", built)
        self.mix = Linear("bottleneck", "bottleneck", built)

    def forward(self, latents: Tensor, shape: Channels) -> Tensor:
        return self.mix(self.reduce(latents, shape), shape)


class LinearDilation(AVConvTasNet):
    """Block x of a repeat is dilated by 1 + x, instead of 2^x."""

    def dilation(self, block: int) -> int:
        return 1 + block
