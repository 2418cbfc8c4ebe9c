"""Worker processes for data: one function over many files, of which a bad one costs itself only."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError
from contextlib import contextmanager
from typing import Any, NamedTuple

import cv2
import torch
from pebble import ProcessExpired, ProcessPool
from tqdm import tqdm

from supernet.errors import UserError
from supernet.processes import end_with_parent


class Outcome(NamedTuple):
    """What became of one file: `value`, or the `problem` in words."""

    value: Any
    problem: str


def outcomes(
    function: Callable[..., Any], tasks: Sequence[tuple], workers: int, time_limit: float, description: str
) -> Iterator[Outcome]:
    """`function(*task)` for each task, in order, with a progress bar. Only a UserError counts as the file's fault:
    any other error ends the whole."""
    with worker_pool(workers) as pool:
        futures = [pool.schedule(function, args=task, timeout=time_limit) for task in tasks]
        for future in tqdm(futures, desc=description, unit="file", mininterval=1):
            try:
                yield Outcome(future.result(), "")
            except UserError as error:
                yield Outcome(None, str(error))
            except TimeoutError:
                yield Outcome(None, f"took longer than {time_limit:g} s; is the file broken?")
            except ProcessExpired:
                yield Outcome(None, "crashed the decoder; replace the file")


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPool]:
    """Processes of one thread each; an error ends them at once, and does not wait for what is scheduled."""
    context = multiprocessing.get_context("spawn")  # forked decoders can hang on locks of their parent's threads
    with ProcessPool(max_workers=workers, context=context, initializer=_start) as pool:
        try:
            yield pool
        except BaseException:
            pool.stop()
            raise


def _start() -> None:
    end_with_parent()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
