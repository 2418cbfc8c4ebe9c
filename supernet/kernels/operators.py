"""Two operations of the elastic layers whose stock kernels are slow on a CPU, with gradients of their own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class SharedSlopePReLU(Function):
    """F.prelu with a single slope; its CPU backward would write the slope's gradient out for every element."""

    @staticmethod
    def forward(ctx, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return F.leaky_relu(x, slope.item())

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = ctx.saved_tensors
        to_slope = torch.dot(grad.reshape(-1), x.clamp(max=0).reshape(-1)).view(1)
        return torch.ops.aten.leaky_relu_backward(grad, x, slope.item(), False), to_slope


class ShiftedSum(Function):
    """y[t] = bias + sum_k weight[:, k] x[t + offsets[k]]: the depthwise convolution as shifted products.

    In channels-last memory each shift is a plain offset, which is about twice as fast as the convolution kernels.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, offsets: list[int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.offsets = offsets
        taps = weight.t().contiguous()
        y = torch.addcmul(bias, x, taps[offsets.index(0)])
        for offset, tap in zip(offsets, taps, strict=True):
            if offset and abs(offset) < x.shape[1]:
                _to(y, offset).addcmul_(_from(x, offset), tap)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        taps = weight.t().contiguous()
        to_x = grad * taps[ctx.offsets.index(0)]
        to_taps = torch.zeros_like(taps)
        for k, offset in enumerate(ctx.offsets):
            if abs(offset) < x.shape[1]:
                if offset:
                    _from(to_x, offset).addcmul_(_to(grad, offset), taps[k])
                to_taps[k] = (_to(grad, offset) * _from(x, offset)).sum((0, 1))
        return to_x, to_taps.t(), grad.sum((0, 1)), None


def _to(y: Tensor, offset: int) -> Tensor:
    """The times t of `y` for which t + offset lies inside the clip."""
    return y[:, max(-offset, 0) : y.shape[1] - max(offset, 0)]


def _from(x: Tensor, offset: int) -> Tensor:
    """The values x[t + offset] for the same times."""
    return x[:, max(offset, 0) : x.shape[1] - max(-offset, 0)]
