"""AVConvTasNet: encoder, lip encoder, additive fusion, TCN separator, mask, decoder. Built at the largest subnet it
*is* the supernet; built at any other it is that subnet, extracted. One class, one forward.

Sources: Conv-TasNet (Luo and Mesgarani, 2019) without skip convolutions, the search space of "Efficient Audio-Visual
Speech Enhancement via Neural Architecture Search", Table 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from supernet.elastic import DepthwiseConv, ElasticLayer, LayerNorm, Linear, Norm, PReLU
from supernet.errors import UserError
from supernet.kernels.fused import FusedBlock, fuses
from supernet.lip_encoder import LipHead, LipTrunk
from supernet.space import PIXELS, Channels, Subnet, channels
from supernet.timing import KERNEL, LATENTS_PER_FRAME, SAMPLES_PER_FRAME, STRIDE


class AVConvTasNet(nn.Module):
    """Noisy speech and lips to clean speech.

    Args:
        subnet: the shape it is built at, and the largest it can run as.
        width: scales bottleneck, hidden, visual and (down to 80) encoder channels.
        causal: no look-ahead beyond the encoder's window; then the norm is per frame.
        norm: `global` (over the clip) or `frame`; by default `frame` when causal, else `global`.
    """

    origin: str | None = None  # the file that it was read from

    def __init__(
        self,
        subnet: Subnet,
        width: float = 1.0,
        causal: bool = False,
        norm: Norm | None = None,
    ) -> None:
        super().__init__()
        if causal and norm == "global":
            raise UserError("norm: 'global' looks at the whole clip and cannot be causal; use 'frame'")
        self.subnet, self.width, self.causal = subnet, width, causal
        self.norm: Norm = norm or ("frame" if causal else "global")
        built = channels(subnet, width)
        self.encoder = Encoder(built)
        self.lip_trunk = LipTrunk(width, causal)
        self.lip_head = LipHead(self.lip_trunk.features, built, causal)
        dilations = [self.dilation(block) for block in range(built.blocks)]
        self.separator = Separator(built, causal, self.norm, self.bottleneck(built), dilations)
        self.decoder = Decoder(built)

    def bottleneck(self, built: Channels) -> nn.Module:
        """(batch, time, encoder) -> (batch, time, bottleneck), to which the lips are added."""
        return Linear("encoder", "bottleneck", built)

    def dilation(self, block: int) -> int:
        """Of a repeat's blocks, counted from 0."""
        return 2**block

    @property
    def architecture(self) -> dict[str, Any]:
        """How it is built, in JSON values: what a file says of it."""
        shape = {"subnet": str(self.subnet), "width": self.width, "causal": self.causal, "norm": self.norm}
        return {"class": type(self).__name__, **shape}

    def forward(
        self,
        mixture: Tensor,
        lips: Tensor | None = None,
        subnet: Subnet | None = None,
        lips_present: Tensor | None = None,
    ) -> Tensor:
        """Enhance: (batch, samples) float, (batch, frames, 88, 88) uint8 or None -> (batch, samples).

        `samples` is 640 x `frames`. `lips_present`, (batch,) bool, mixes clips with and without video in one batch.
        """
        subnet = subnet or self.subnet
        self.check(mixture, lips)
        features = None if lips is None else self.lip_features(lips)
        return self.estimates(mixture, features, subnet, (subnet.repeats,), lips_present)[0]

    def lip_features(self, lips: Tensor) -> Tensor:
        """(batch, frames, 88, 88) uint8 -> (batch, frames, features), the same for every subnet."""
        return self.lip_trunk(lips)

    def estimates(
        self,
        mixture: Tensor,
        features: Tensor | None,
        subnet: Subnet,
        exits: Sequence[int],
        lips_present: Tensor | None = None,
    ) -> list[Tensor]:
        """One pass, an estimate after each of the repeats in `exits`: the R = 2 network is a prefix of the R = 4 one.

        `features` come from `lip_features`. Returns one (batch, samples) for each exit, in ascending order.
        """
        shape = channels(subnet, self.width)
        latents = self.encoder(mixture, shape)
        visual = None
        if features is not None:
            visual = self.lip_head(features, shape)
            if lips_present is not None:
                visual = visual * lips_present[:, None, None].to(visual.dtype)
        masks = self.separator.masks(latents, visual, shape, exits)
        return [self.decoder(latents * mask, shape) for mask in masks]

    @staticmethod
    def check(mixture: Tensor, lips: Tensor | None) -> None:
        """Raises UserError unless the lengths of sound and video lie on the common grid."""
        if mixture.ndim != 2 or mixture.shape[1] % SAMPLES_PER_FRAME or not mixture.shape[1]:
            raise UserError(
                f"mixture: expected (batch, samples) with samples a multiple of {SAMPLES_PER_FRAME}, "
                f"got {tuple(mixture.shape)}"
            )
        expected = (mixture.shape[0], mixture.shape[1] // SAMPLES_PER_FRAME, PIXELS, PIXELS)
        if lips is not None and tuple(lips.shape) != expected:
            raise UserError(f"lips: expected {expected} for this mixture, got {tuple(lips.shape)}")


def windowed_cosines() -> Tensor:
    """(40, 40): orthonormal DCT-II rows under a sine window. Overlap-added at hop 20 they give the signal back."""
    n = torch.arange(KERNEL, dtype=torch.float64)
    basis = torch.cos(math.pi / KERNEL * (n[None] + 0.5) * n[:, None]) * math.sqrt(2 / KERNEL)
    basis[0] /= math.sqrt(2)
    return (basis * torch.sin(math.pi * (n + 0.5) / KERNEL)).float()


class Encoder(ElasticLayer):
    """(batch, samples) -> (batch, latent frames, encoder), 800 frames a second.

    Starts as a cosine basis and its negative, so that the ReLU loses nothing and decoder(encoder(x)) = x for every
    prefix of at least 80 channels: training starts at 0 dB instead of -30.
    """

    def __init__(self, built: Channels) -> None:
        super().__init__()
        weight = self.add("weight", ("encoder", KERNEL), built)
        basis = windowed_cosines()
        extra = torch.randn(built.encoder - 2 * KERNEL, KERNEL) * basis.square().mean().sqrt()
        weight.data = torch.cat([basis, -basis, extra])

    def forward(self, mixture: Tensor, shape: Channels) -> Tensor:
        frames = F.pad(mixture, (STRIDE, 0)).unfold(-1, KERNEL, STRIDE)
        return F.relu(F.linear(frames, self.prefix("weight", shape)))


class Decoder(ElasticLayer):
    """(batch, latent frames, encoder) -> (batch, samples) by overlap-add; rows from 80 on start at zero."""

    def __init__(self, built: Channels) -> None:
        super().__init__()
        weight = self.add("weight", ("encoder", KERNEL), built)
        basis = windowed_cosines()
        weight.data[: 2 * KERNEL] = torch.cat([basis, -basis])

    def forward(self, latents: Tensor, shape: Channels) -> Tensor:
        frames = latents @ self.prefix("weight", shape)
        return rearrange(
            frames[..., STRIDE:] + F.pad(frames[:, 1:, :STRIDE], (0, 0, 0, 1)), "batch time hop -> batch (time hop)"
        )


class Separator(nn.Module):
    """Latents and visual features to masks: norm, bottleneck, R repeats of X dilated blocks, one mask head."""

    def __init__(
        self, built: Channels, causal: bool, norm: Norm, bottleneck: nn.Module, dilations: Sequence[int]
    ) -> None:
        super().__init__()
        self.input_norm = LayerNorm("encoder", built, norm)
        self.bottleneck = bottleneck
        self.repeats = nn.ModuleList(
            nn.ModuleList(Block(built, dilation, causal, norm) for dilation in dilations) for _ in range(built.repeats)
        )
        self.mask_activation = PReLU(built)
        self.mask = Linear("bottleneck", "encoder", built)
        nn.init.normal_(self.mask.weight, std=1e-2)  # masks start flat, the estimate as the mixture
        nn.init.zeros_(self.mask.bias)

    def masks(self, latents: Tensor, visual: Tensor | None, shape: Channels, exits: Sequence[int]) -> list[Tensor]:
        """(batch, time, encoder) and (batch, frames, bottleneck) -> after each exit a mask like `latents`."""
        x = self.bottleneck(self.input_norm(latents, shape), shape)
        if visual is not None:
            x = x + visual.repeat_interleave(LATENTS_PER_FRAME, dim=1)
        masks = []
        for done, repeat in enumerate(islice(self.repeats, max(exits)), start=1):
            for block in islice(cast(nn.ModuleList, repeat), shape.blocks):
                x = block(x, shape)
            if done in exits:
                masks.append(torch.sigmoid(self.mask(self.mask_activation(x), shape)))
        return masks


class Block(nn.Module):
    """Residual 1x1 - depthwise - 1x1 block of Conv-TasNet, (batch, time, bottleneck) -> the same shape."""

    def __init__(self, built: Channels, dilation: int, causal: bool, norm: Norm) -> None:
        super().__init__()
        self.expand = Linear("bottleneck", "hidden", built)
        self.expand_activation = PReLU(built)
        self.expand_norm = LayerNorm("hidden", built, norm)
        self.depthwise = DepthwiseConv("hidden", built, 3, dilation, causal)
        self.depthwise_activation = PReLU(built)
        self.depthwise_norm = LayerNorm("hidden", built, norm)
        self.reduce = Linear("hidden", "bottleneck", built)

    def forward(self, x: Tensor, shape: Channels) -> Tensor:
        if self.fusible and fuses(x):
            return FusedBlock.apply(x, *self.weights(shape), self.depthwise.offsets)
        y = self.expand_norm(self.expand_activation(self.expand(x, shape)), shape)
        y = self.depthwise_norm(self.depthwise_activation(self.depthwise(y, shape)), shape)
        return x + self.reduce(y, shape)

    @property
    def fusible(self) -> bool:
        """Whether `FusedBlock` computes the same."""
        return self.expand_norm.norm == "global"

    def weights(self, shape: Channels) -> Iterator[Tensor]:
        """All of them, sliced, in the order of the layers."""
        for layer in cast(Iterator[ElasticLayer], self.children()):
            yield from (layer.prefix(name, shape) for name in layer.axes)
