"""From one sampling rate to another, block by block, in step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr


class Resampler:
    """Blocks, float32 (samples, channels), at another rate; what is not given yet comes with the next ones."""

    def __init__(self, rate: int, to: int, channels: int) -> None:
        self._stream = soxr.ResampleStream(rate, to, channels, dtype="float32")

    def __call__(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        return self._stream.resample_chunk(np.ascontiguousarray(block, np.float32), last=last)


def resampled(blocks: Iterator[np.ndarray], rate: int, to: int, channels: int) -> Iterator[np.ndarray]:
    """Blocks, float32 (samples, channels), of `rate` at the rate `to`: in all round(samples x to / rate)."""
    if rate == to:
        yield from blocks
        return
    resampler = Resampler(rate, to, channels)
    came = went = 0
    for block in blocks:
        came += len(block)
        new = resampler(block)
        went += len(new)
        yield new
    new = resampler(np.zeros((0, channels), np.float32), last=True)
    left = round(came * to / rate) - went
    yield np.concatenate([new[:left], np.zeros((max(0, left - len(new)), channels), np.float32)])
