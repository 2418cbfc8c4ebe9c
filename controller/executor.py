"""Evaluates batches of subnets, here or in worker processes. Called by `controller.oracle`.

Only this process, the parent, writes the ledger; a worker sends its evaluation back.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed

import torch
from pebble import ProcessPool

from controller.evaluation import Evaluation, Evaluator, LedgeredEvaluator
from supernet.space import Subnet


class Executor:
    """Evaluates subnets through the ledger: in this process with one worker, in a pool of processes with more.

    A context manager; leaving it stops the workers.
    """

    def __init__(self, evaluator: LedgeredEvaluator, workers: int = 1) -> None:
        self._evaluator = evaluator
        self._pool = None
        if workers > 1:
            threads = max(1, torch.get_num_threads() // workers)
            self._pool = ProcessPool(
                max_workers=workers,
                context=multiprocessing.get_context("spawn"),  # a forked process cannot use CUDA
                initializer=_start_worker,
                initargs=[evaluator.evaluator, threads],
            )

    def evaluate(self, subnets: Sequence[Subnet]) -> Iterator[Evaluation]:
        """Evaluations of `subnets` as they become known, which need not be their order."""
        missing = []
        for subnet in subnets:
            known = self._evaluator.known(subnet)
            if known is None:
                missing.append(subnet)
            else:
                yield known
        if self._pool is None:
            yield from map(self._evaluator.evaluate, missing)
            return
        for future in as_completed([self._pool.schedule(_evaluate, [subnet]) for subnet in missing]):
            evaluation = future.result()
            self._evaluator.store(evaluation)
            yield evaluation

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()


_evaluator_of_worker: Evaluator  # a worker process receives its evaluator once, not with every subnet


def _start_worker(evaluator: Evaluator, threads: int) -> None:
    global _evaluator_of_worker
    _evaluator_of_worker = evaluator
    torch.set_num_threads(threads)


def _evaluate(subnet: Subnet) -> Evaluation:
    return _evaluator_of_worker.evaluate(subnet)
