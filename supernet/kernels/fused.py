"""A block of the separator, with its gradient, as one operation on a CPU: two to three times as fast as its operators.

Those pass over memory about forty times, and at the sizes at which CPUs train a step waits for this and not for the
arithmetic. Here a clip goes through the whole block while it is in the cache, and `fused.c` does between two matrix
products all there is to do in one pass. Nothing but the block's input is kept for the gradient: to make the rest again
is cheaper than to fetch it.

A norm over the clip is an affine function of each channel once its two statistics are known, so it is folded into the
weights of what reads it; its gradient, and that of its weights, follow from sums that the neighbouring weights need
anyway.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from supernet.kernels.compiled import library

SOURCE = Path(__file__).with_suffix(".c")
BLAS = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"

_using = False


@cache
def missing() -> str | None:
    """Why there are no fused blocks on this machine; None where there are."""
    if not BLAS.is_file() or not hasattr(ctypes.CDLL(str(BLAS)), "sgemm_"):
        return "PyTorch hands no matrix product on"
    found = library(SOURCE)
    return found if isinstance(found, str) else None


@contextmanager
def fused_blocks(wanted: bool) -> Iterator[None]:
    """Blocks whose gradient is asked for are fused meanwhile. Their values differ from those of the operators in the
    last bits, so a training says which it uses."""
    global _using
    before, _using = _using, wanted
    try:
        yield
    finally:
        _using = before


def fuses(x: Tensor) -> bool:
    """Whether a block with this input is to be fused now."""
    wanted = _using and torch.is_grad_enabled()
    return wanted and x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


class FusedBlock(Function):
    """x (batch, time, bottleneck) -> block(x); weights sliced, in the order of `supernet.model.Block`, of three taps.

    Clips are shared among as many threads as PyTorch has; what each adds to the weights is summed at the end, in the
    order of the clips, so the result does not depend on their number.
    """

    @staticmethod
    def forward(ctx, x: Tensor, *given: Any) -> Tensor:
        *weights, offsets = given
        x, folded = x.contiguous(), _Folded(x, weights, offsets)
        y, statistics = torch.empty_like(x), torch.empty(len(x), 4, dtype=torch.float64)
        _each(lambda part: _kernels().forward(folded.block, *part), x, y, statistics)
        ctx.folded, ctx.weights = folded, weights
        ctx.save_for_backward(x, statistics)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, to_y: Tensor) -> tuple[Tensor | None, ...]:
        x, statistics = ctx.saved_tensors
        expand, _, _, gain, shift, depthwise, _, _, next_gain, next_shift, reduce, _ = ctx.weights
        (hidden, bottleneck), taps = expand.shape, depthwise.shape[1]
        to_y, to_x = to_y.contiguous(), torch.empty_like(x)
        to_bias = to_y.sum(1)
        products, to_expand = x.new_empty(len(x), bottleneck, hidden), x.new_empty(len(x), hidden, bottleneck)
        slopes = torch.empty(len(x), 2, dtype=torch.float64)
        sums = torch.empty(len(x), 2 + 2 * taps, hidden, dtype=torch.float64)
        given = x, to_y, statistics, to_bias, to_x, products, to_expand, slopes, sums
        _each(lambda part: _kernels().backward(ctx.folded.block, *part), *given)

        # norm(v) = scale v + (shift - mean scale), by channel; sums over time to sums over the batch
        mean, inverse, next_mean, next_inverse = statistics.float().t()[:, :, None]
        totals, present, dots, to_expand_bias = sums.float().split([1, taps, taps, 1], 1)
        scale, to_shift = gain * inverse, (depthwise.t() * present).sum(1)
        to_gain = inverse * ((depthwise.t() * dots).sum(1) - mean * to_shift)
        to_taps = dots * scale[:, None] + present * (shift - mean * scale)[:, None]
        scale, to_next_shift = next_gain * next_inverse, to_bias @ reduce
        to_next_gain = next_inverse * ((reduce * products).sum(1) - next_mean * to_next_shift)
        to_reduce = products * scale[:, None] + to_bias[:, :, None] * (next_shift - next_mean * scale)[:, None]
        to_expand_slope, to_slope = slopes.float().t()[:, :, None]
        by_clip = [
            to_expand,
            to_expand_bias.squeeze(1),
            to_expand_slope,
            to_gain,
            to_shift,
            to_taps.mT,
            totals.squeeze(1),
        ]
        by_clip += [to_slope, to_next_gain, to_next_shift, to_reduce, to_bias]
        return to_x, *(each.sum(0) for each in by_clip), None


class _Folded:
    """The weights of a block as `fused.c` wants them."""

    def __init__(self, x: Tensor, weights: Sequence[Tensor], offsets: Sequence[int]) -> None:
        expand, expand_bias, expand_slope, gain, shift, depthwise, bias, slope, next_gain, next_shift, reduce, to = (
            weights
        )
        taps = depthwise.t()
        gains, folded_shift = reduce @ next_gain, torch.addmv(to, reduce, next_shift)
        arrays = expand, expand_bias, taps * gain, taps * shift, bias, reduce * next_gain, gains, folded_shift
        self.arrays = [array.contiguous() for array in arrays]  # alive as long as the block points to them
        sizes = x.shape[1], expand.shape[1], len(expand), (ctypes.c_long * 3)(*offsets)
        pointers = (array.data_ptr() for array in self.arrays)
        self.block = _BlockStruct(_sgemm(), *sizes, expand_slope.item(), slope.item(), *pointers)


class _BlockStruct(ctypes.Structure):
    """`Block` of `fused.c`."""

    _fields_ = [
        ("sgemm", ctypes.c_void_p),
        *((name, ctypes.c_long) for name in ("times", "bottleneck", "hidden")),
        ("offsets", ctypes.c_long * 3),
        *((name, ctypes.c_float) for name in ("expand_slope", "slope")),
        *((name, ctypes.c_void_p) for name in ("expand", "expand_bias", "tap_gains", "tap_shifts", "bias")),
        *((name, ctypes.c_void_p) for name in ("reduce_gains", "reduce_gain", "reduce_shift")),
    ]


@cache
def _sgemm() -> int:
    """Address of the single-precision matrix product of the BLAS that PyTorch brings along."""
    return ctypes.cast(ctypes.CDLL(str(BLAS)).sgemm_, ctypes.c_void_p).value or 0


@cache
def _kernels() -> ctypes.CDLL:
    kernels = library(SOURCE)
    assert isinstance(kernels, ctypes.CDLL), kernels
    block, pointer = ctypes.POINTER(_BlockStruct), ctypes.c_void_p
    kernels.forward.argtypes = [block, ctypes.c_long, *[pointer] * 3]
    kernels.backward.argtypes = [block, ctypes.c_long, *[pointer] * 9]
    kernels.forward.restype = kernels.backward.restype = None
    return kernels


def _each(work: Callable[[list[int]], None], *tensors: Tensor) -> None:
    """`work(part)` on every clip of the tensors, (batch, ...) each, shared among PyTorch's threads; a part is how many
    clips it has, and where they begin in each tensor."""
    batch, threads = len(tensors[0]), min(torch.get_num_threads(), len(tensors[0]))
    edges = [batch * number // threads for number in range(threads + 1)]
    parts = [[stop - start, *(each[start:].data_ptr() for each in tensors)] for start, stop in pairwise(edges)]
    if threads == 1:
        work(parts[0])
    else:
        list(_pool(torch.get_num_threads()).map(work, parts))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads in which PyTorch and its BLAS use one thread each."""
    pool = ThreadPoolExecutor(threads, "clips", initializer=torch.set_num_threads, initargs=(1,))
    list(pool.map(lambda _: None, range(threads)))
    torch.set_num_threads(threads)  # what threads that are yet to start begin with, which the pool's have changed
    return pool
