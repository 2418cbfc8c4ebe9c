"""Measured costs of an exported network: latency, real-time factor, peak memory, by each runtime there is. Free of
torch."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np

from supernet.deploy.runtime import Enhancer, Runtime
from supernet.space import PIXELS
from supernet.timing import FRAME_RATE, SAMPLES_PER_FRAME

MEGABYTE = 1e6
REPEATS = 5


@dataclass(frozen=True)
class RuntimeCost:
    """What a network costs by one runtime, or by PyTorch."""

    runtime: str
    version: str
    latency_ms: float  # for the clip, with lips, median of the repeats
    latency_without_lips_ms: float
    rtf: float  # with lips
    memory_mb: float  # with lips; of a runtime what its process grew by, of PyTorch weights and activations


def measure_exported(path: Path, runtime: Runtime, seconds: float, threads: int = 1) -> RuntimeCost:
    """In a process of its own, so that nothing else counts as its memory.

    Raises UserError where the file or the runtime cannot be used.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as one:
        return one.submit(_measure, path, runtime, seconds, threads).result()


def _measure(path: Path, runtime: Runtime, seconds: float, threads: int) -> RuntimeCost:
    frames = max(1, round(seconds * FRAME_RATE))
    generator = np.random.default_rng(0)
    mixture = 0.1 * generator.standard_normal(frames * SAMPLES_PER_FRAME).astype(np.float32)
    lips = generator.integers(0, 256, (frames, PIXELS, PIXELS), np.uint8)
    __import__(runtime)
    before = _memory("VmRSS")
    enhancer = Enhancer.open(path, runtime, threads)
    elapsed = median(timed(lambda: enhancer.estimate(mixture, lips)))
    grown = max(0.0, _memory("VmHWM") - before)
    alone = median(timed(lambda: enhancer.estimate(mixture, None)))
    duration = frames / FRAME_RATE
    return RuntimeCost(runtime, version(runtime), 1e3 * elapsed, 1e3 * alone, elapsed / duration, grown)


def timed(call: Callable[[], object], repeats: int = REPEATS) -> list[float]:
    """Seconds of each call, after one that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def _memory(name: str) -> float:
    """A line of the process's status, 10^6 bytes; NaN where the system has none."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return float(line.split()[1]) * 1024 / MEGABYTE
