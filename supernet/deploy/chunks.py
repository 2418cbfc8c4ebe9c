"""Enhance a stream of any length in bounded memory: chunks that overlap and fade.

The networks look at the whole clip: the non-causal one through its kernels and its global norms, whose statistics a
cut changes. So chunks are long (the norms settle over seconds), and overlap by a second in which one estimate fades
into the next. A clip of ordinary level that fits one chunk is enhanced exactly as `network(mixture, lips)` would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, Protocol

import numpy as np

from supernet.deploy.level import Level
from supernet.deploy.spectra import masked
from supernet.deploy.together import separated
from supernet.errors import UserError
from supernet.timing import FRAME_RATE, SAMPLES_PER_FRAME

OVERLAP = FRAME_RATE  # video frames, one second


class Runnable(Protocol):
    """A network by whatever runs it: `runtime.Enhancer` an exported one, `eager.Eager` one of PyTorch.

    `origin` is the file that it was read from; `place` says where it runs.
    """

    @property
    def origin(self) -> str | None: ...

    @property
    def place(self) -> str: ...

    def estimate(self, mixture: np.ndarray, lips: np.ndarray | None) -> np.ndarray:
        """Whole video frames of sound, float32 (samples,), and lips uint8 (frames, 88, 88) -> (samples,)."""
        ...


def runnable(network: Any) -> Runnable:
    """A `Runnable` as it is; a network of PyTorch as one."""
    if hasattr(network, "estimate"):
        return network
    from supernet.deploy.eager import Eager

    return Eager(network)


class LipWindow:
    """The lips that belong to one chunk, out of a stream of uint8 (88, 88) frames.

    `seen` counts the frames that the stream has given.
    """

    def __init__(self, stream: Iterator[np.ndarray]) -> None:
        self.stream, self.seen = stream, 0
        self._frames: list[np.ndarray] = []

    def show(self, frames: int) -> np.ndarray | None:
        """uint8 (frames, 88, 88) from where the window stands, or None where video covers less than half of it.

        In a chunk in which the video ends, its last picture stands to the chunk's end.
        """
        fresh = list(islice(self.stream, max(0, frames - len(self._frames))))
        self.seen += len(fresh)
        self._frames += fresh
        shown = self._frames[:frames]
        if 2 * len(shown) < frames:
            return None
        return np.stack(shown + [shown[-1]] * (frames - len(shown)))

    def advance(self, frames: int) -> None:
        """Move the window on by so many frames, no more than were shown."""
        del self._frames[:frames]


def enhance_stream(
    network: Any,
    blocks: Iterator[np.ndarray],
    lips: Sequence[LipWindow | None],
    chunk_frames: int,
    strength: float = 1.0,
) -> Iterator[np.ndarray]:
    """Noisy blocks, float32 (samples, channels), to enhanced blocks, float32 (samples, talkers x channels), the first
    talker's channels first; in all as many samples as came in.

    Args:
        network: a `Runnable`, or of PyTorch, `network(mixture (1, samples), lips (1, frames, 88, 88) or None)`.
        blocks: 16 kHz sound in order, of any lengths. The network hears the first channel; what it takes away from
            that, by time and frequency, is taken from the others too.
        lips: of each talker from the first sample on; None where they are not seen.
        chunk_frames: length of a chunk in video frames of 640 samples; more than twice `OVERLAP`.
        strength: from 0, the noisy sound, to 1, the estimate.
    """
    network = runnable(network)
    chunk, hop = chunk_frames * SAMPLES_PER_FRAME, (chunk_frames - OVERLAP) * SAMPLES_PER_FRAME
    fade_in = np.linspace(0, 1, chunk - hop, dtype=np.float32)[:, None]
    pending, level = next(blocks, np.zeros((0, 1), np.float32)), Level()
    tail: np.ndarray | None = None  # of the chunk before, over this chunk's first second
    more = True
    while more:
        pending, more = _fill(pending, blocks, chunk)
        noisy = pending[:chunk]
        frames = -(-len(noisy) // SAMPLES_PER_FRAME)
        estimate = _enhance(network, noisy, [window.show(frames) if window else None for window in lips], level)
        if strength != 1:
            estimate = strength * estimate + (1 - strength) * np.tile(noisy, len(lips))
        if tail is not None:
            estimate[: len(tail)] = fade_in * estimate[: len(tail)] + (1 - fade_in) * tail
        if not more:
            yield estimate
            return
        yield estimate[:hop]
        tail, pending = estimate[hop:], pending[hop:]
        for window in lips:
            if window is not None:
                window.advance(chunk_frames - OVERLAP)


def _fill(pending: np.ndarray, blocks: Iterator[np.ndarray], chunk: int) -> tuple[np.ndarray, bool]:
    """Read until `pending` holds more than a chunk or the stream ends, and whether it holds more than a chunk."""
    parts, size = [pending], len(pending)
    while size <= chunk and (block := next(blocks, None)) is not None:
        parts.append(block)
        size += len(block)
    return np.concatenate(parts), size > chunk


def _enhance(network: Runnable, noisy: np.ndarray, videos: Sequence[np.ndarray | None], level: Level) -> np.ndarray:
    """(samples, channels) -> (samples, talkers x channels)."""
    if not len(noisy):
        return np.tile(noisy, len(videos))
    gain = level(noisy)
    heard = (noisy - gain.offset) * np.float32(gain.factor)
    columns = []
    for estimate in separated(partial(_estimate, network), heard[:, 0], videos):
        columns += [estimate, *(masked(heard[:, 0], estimate, channel) for channel in heard.T[1:])]
    return np.stack(columns, axis=1) / np.float32(gain.factor)


def _estimate(network: Runnable, heard: np.ndarray, lips: np.ndarray | None) -> np.ndarray:
    """(samples,) -> (samples,); the network sees whole video frames, the last one filled up with silence."""
    mixture = np.pad(heard, (0, -len(heard) % SAMPLES_PER_FRAME))
    estimate = network.estimate(mixture, lips)
    check_estimate(network.origin, estimate, mixture)
    return estimate[: len(heard)]


def check_estimate(origin: str | None, estimate: np.ndarray, mixture: np.ndarray) -> None:
    """Raise UserError that names the file of a network that was read from one, when its output is no sound: not finite,
    or beyond full scale in most samples, where the mixture, of the same shape, is not."""
    reason = None
    if not np.isfinite(estimate).all():
        reason = "is NaN or infinite"
    elif ((np.abs(estimate) > 1) & (np.abs(mixture) <= 1)).mean() > 0.5:
        reason = "is beyond full scale in most samples"
    if reason and origin:
        raise UserError(f"{origin}: its output {reason}; its weights are damaged or were badly trained, use others")
