"""Worker processes on this machine, for `controller.executor`.

Each worker is a pebble pool of one process: a pool whose process dies idle or while it starts gives up all that was
asked of it, so a pool of several would lose more than the one evaluation.
"""

from __future__ import annotations

import os
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread

import torch
from pebble import ProcessExpired, ProcessPool

from controller.evaluation import Evaluation, Evaluator
from supernet.space import Subnet


class WorkerDied(Exception):
    """A process ended before its evaluation did: killed, out of memory, crashed."""


class Processes:
    """`count` processes that evaluate; the threads of this one are divided among them.

    A process is started when it is first needed, and one that died is replaced.
    """

    def __init__(self, evaluator: Evaluator, count: int) -> None:
        self.count = count
        self._evaluator, self._threads = evaluator, max(1, torch.get_num_threads() // count)
        self._idle: list[ProcessPool] = []
        self._busy: dict[Future[Evaluation], ProcessPool] = {}

    def submit(self, subnet: Subnet) -> Future[Evaluation]:
        """Begin an evaluation; at most `count` may be under way."""
        pool = self._idle.pop() if self._idle else self._pool()
        if not pool.active:
            _stop(pool)
            pool = self._pool()
        future = pool.schedule(_evaluate, [subnet])
        self._busy[future] = pool
        return future

    def result(self, future: Future[Evaluation]) -> Evaluation:
        """What came of an evaluation that is done. Raises WorkerDied, or what the evaluation raised."""
        self._idle.append(self._busy.pop(future))
        try:
            return future.result()
        except ProcessExpired as error:
            raise WorkerDied(f"exit code {error.exitcode}") from error
        except BrokenProcessPool as error:
            raise WorkerDied("it did not start") from error

    def close(self) -> None:
        """Stop the processes, whatever they are doing."""
        for pool in [*self._idle, *self._busy.values()]:
            _stop(pool)

    def _pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=1,
            context=get_context("spawn"),  # a forked process cannot use CUDA
            initializer=_start,
            initargs=[self._evaluator, self._threads],
        )


def _stop(pool: ProcessPool) -> None:
    pool.stop()
    pool.join()


_evaluator: Evaluator  # a worker receives its evaluator once, not with every subnet


def _start(evaluator: Evaluator, threads: int) -> None:
    global _evaluator
    _evaluator = evaluator
    torch.set_num_threads(threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Nobody waits for the evaluation once the parent was killed."""
    wait([parent_process().sentinel])
    os._exit(1)


def _evaluate(subnet: Subnet) -> Evaluation:
    return _evaluator.evaluate(subnet)
