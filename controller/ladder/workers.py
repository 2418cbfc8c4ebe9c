"""Worker processes on this machine, for `controller.ladder.executor`.

Each worker is a pebble pool of one process: a pool whose process dies idle or while it starts gives up all that was
asked of it, so a pool of several would lose more than the one evaluation. A pool that has lost its process is not used
again: the process may have held the locks of the pool's pipe.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import torch
from pebble import ProcessExpired, ProcessPool

from controller.ladder.evaluation import Evaluation, Evaluator
from supernet.processes import end_with_parent
from supernet.space import Subnet

CONTEXT = get_context("spawn")  # a forked process cannot use CUDA
PATIENCE = 2.0  # s between two looks at the pools; one that broke settles its future at once or never


class WorkerDied(Exception):
    """A process ended before its evaluation did: killed, out of memory, crashed."""


class NeverBegan(WorkerDied):
    """The process was dead, or died, before the evaluation began."""


@dataclass(frozen=True)
class Worker:
    """A process, and a byte that it shares with this one: whether it has begun the evaluation asked of it."""

    pool: ProcessPool
    begun: Any


class Processes:
    """`count` processes that evaluate; the threads of this one are divided among them.

    A process is started when it is first needed, and one that died is replaced.
    """

    def __init__(self, evaluator: Evaluator, count: int) -> None:
        self.count = count
        self._evaluator, self._threads = evaluator, max(1, torch.get_num_threads() // count)
        self._idle: list[Worker] = []
        self._busy: dict[Future[Evaluation], Worker] = {}

    def submit(self, subnet: Subnet) -> Future[Evaluation]:
        """Begin an evaluation; at most `count` may be under way."""
        while self._idle:
            worker = self._idle.pop()
            try:
                return self._ask(worker, subnet)
            except RuntimeError:  # it died idle
                _stop(worker.pool)
        return self._ask(self._start(), subnet)

    def wait(self, futures: Collection[Future[Evaluation]]) -> set[Future[Evaluation]]:
        """Those of `futures` that `result` has an answer for, at least one.

        A pool whose process is found dead just when it is asked may drop what was asked: such a future is never done.
        """
        broken: set[Future[Evaluation]] = set()
        while True:
            done = wait_for(futures, PATIENCE, FIRST_COMPLETED).done
            dropped = {future for future in broken if not future.done()}
            if done or dropped:
                return done | dropped
            broken = {future for future in futures if not self._busy[future].pool.active}

    def result(self, future: Future[Evaluation]) -> Evaluation:
        """What came of an evaluation that `wait` returned. Raises WorkerDied, or what the evaluation raised."""
        worker = self._busy.pop(future)
        try:
            if not future.done():
                raise BrokenProcessPool
            evaluation = future.result()
        except (ProcessExpired, BrokenProcessPool) as error:
            _stop(worker.pool)
            if not worker.begun.value:
                raise NeverBegan("it did not start") from error
            raise WorkerDied(f"exit code {getattr(error, 'exitcode', 'unknown')}") from error
        except BaseException:
            self._idle.append(worker)
            raise
        self._idle.append(worker)
        return evaluation

    def close(self) -> None:
        """Stop the processes, whatever they are doing."""
        for worker in [*self._idle, *self._busy.values()]:
            _stop(worker.pool)

    def _ask(self, worker: Worker, subnet: Subnet) -> Future[Evaluation]:
        worker.begun.value = False
        future = worker.pool.schedule(_evaluate, [subnet])
        self._busy[future] = worker
        return future

    def _start(self) -> Worker:
        begun = CONTEXT.RawValue("b", False)
        arguments = [self._evaluator, self._threads, begun]
        return Worker(ProcessPool(max_workers=1, context=CONTEXT, initializer=_start, initargs=arguments), begun)


def _stop(pool: ProcessPool) -> None:
    pool.stop()
    pool.join()


_evaluator: Evaluator  # a worker receives its evaluator once, not with every subnet
_begun: Any


def _start(evaluator: Evaluator, threads: int, begun: Any) -> None:
    global _evaluator, _begun
    _evaluator, _begun = evaluator, begun
    torch.set_num_threads(threads)
    end_with_parent()


def _evaluate(subnet: Subnet) -> Evaluation:
    _begun.value = True
    return _evaluator.evaluate(subnet)
