"""Measured costs of a network on this machine: latency, real-time factor, peak memory."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from eval.machine import fingerprint
from supernet.space import PIXELS
from supernet.timing import FRAME_RATE, SAMPLES_PER_FRAME

Network = Callable[
    [Tensor, Tensor | None], Tensor
]  # mixture (1, samples), lips uint8 (1, frames, 88, 88) -> (1, samples)
MEGABYTE = 1e6


@dataclass(frozen=True)
class Measured:
    """What one network costs on one machine."""

    latency_ms: float  # time to enhance the whole clip, median of the repeats
    rtf: float  # real-time factor: that time over the clip's duration
    memory_mb: float  # weights and the most activations alive at once, 10^6 bytes
    seconds: float  # duration of the clip
    machine: str  # fingerprint, threads included


@torch.inference_mode()
def measure(network: Network, seconds: float = 3.0, threads: int = 1, repeats: int = 5, lips: bool = True) -> Measured:
    """Measure `network` on a clip of noise, where its weights are.

    The first run warms up and counts memory, the next `repeats` are timed; the median forgives a busy moment.
    Weights count where `network` is an `nn.Module`; measure a subnet as `extract(net, subnet)`, since a slice of the
    supernet pays for slicing and for weights that it does not use.

    Args:
        network: any callable (mixture (1, samples), lips (1, frames, 88, 88) uint8) -> (1, samples).
        seconds: duration of the clip, rounded to whole video frames.
        threads: torch threads during the measurement.
        repeats: timed runs.
        lips: whether the network is shown any.
    """
    frames = max(1, round(seconds * FRAME_RATE))
    generator = torch.Generator().manual_seed(0)
    mixture = 0.1 * torch.randn(1, frames * SAMPLES_PER_FRAME, generator=generator)
    video = torch.randint(0, 256, (1, frames, PIXELS, PIXELS), dtype=torch.uint8, generator=generator)
    device = next((w.device for w in _weights(network)), mixture.device)
    mixture, shown = mixture.to(device), video.to(device) if lips else None
    with _threads(threads):
        with LiveTensors() as live:
            network(mixture, shown)
        times = [_timed(network, mixture, shown) for _ in range(repeats)]
    duration = frames / FRAME_RATE
    elapsed = median(times)
    return Measured(
        latency_ms=1000 * elapsed,
        rtf=elapsed / duration,
        memory_mb=(sum(weight.nbytes for weight in _weights(network)) + live.peak) / MEGABYTE,
        seconds=duration,
        machine=fingerprint(threads, torch.cuda.get_device_name(device) if device.type == "cuda" else ""),
    )


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of all tensors that operations make inside the block, while they are alive.

    `peak` is exact for activations and the same on every machine; the scratch memory that a kernel frees before it
    returns (a convolution's workspace) is not seen, nor are the inputs and weights that existed before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._storages: weakref.WeakSet = weakref.WeakSet()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        existing = {leaf.untyped_storage() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.untyped_storage() not in existing:
                self._watch(leaf.untyped_storage())
        return result

    def _watch(self, storage: torch.UntypedStorage) -> None:
        if storage in self._storages:
            return
        self._storages.add(storage)
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.live -= size


def _weights(network: Network) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()] if isinstance(network, nn.Module) else []


def _timed(network: Network, mixture: Tensor, lips: Tensor | None) -> float:
    start = _clock(mixture.device)
    network(mixture, lips)
    return _clock(mixture.device) - start


def _clock(device: torch.device) -> float:
    """In seconds, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
