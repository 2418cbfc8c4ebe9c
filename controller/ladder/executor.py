"""Evaluates subnets: here, in worker processes or on a Ray cluster.

Only this process, the parent, writes the ledger; a worker sends its evaluation back.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Protocol

from controller.ladder.evaluation import Evaluation, LedgeredEvaluator
from controller.ladder.workers import Processes
from supernet.errors import UserError
from supernet.processes import WorkerDied
from supernet.space import Subnet


class Workers(Protocol):
    """Who evaluates: `controller.ladder.workers.Processes` or `controller.ladder.cluster.Cluster`."""

    count: int

    def submit(self, subnet: Subnet) -> Future[Evaluation]: ...

    def result(self, future: Future[Evaluation]) -> Evaluation:
        """Raises WorkerDied, or what the evaluation raised."""
        ...

    def close(self) -> None: ...


class Executor:
    """Evaluates subnets through the ledger: in this process with one worker, in processes of their own with more.

    A context manager; leaving it stops the workers.

    Args:
        evaluator: with the ledger.
        workers: evaluations at a time.
        ray: address of the Ray cluster that evaluates; None for this machine.
    """

    def __init__(self, evaluator: LedgeredEvaluator, workers: int = 1, ray: str | None = None) -> None:
        self._evaluator = evaluator
        self._workers: Workers | None = None
        if ray:
            from controller.ladder.cluster import Cluster

            self._workers = Cluster(evaluator.evaluator, workers, ray)
        elif workers > 1:
            self._workers = Processes(evaluator.evaluator, workers)

    def evaluate(self, subnets: Sequence[Subnet]) -> Iterator[Evaluation]:
        """Evaluations of `subnets` as they become known, which need not be their order.

        A worker that dies costs its own evaluation, which is tried once more after the others.

        Raises:
            UserError: when an evaluation's worker died twice; all others have been made and kept.
            Exception: what an evaluation raised. No further one is begun; those under way are finished and kept.
        """
        missing = []
        for subnet in subnets:
            known = self._evaluator.known(subnet)
            if known is None:
                missing.append(subnet)
            else:
                yield known
        if self._workers is None:
            yield from map(self._evaluator.evaluate, missing)
        else:
            yield from self._share_out(self._workers, missing)

    def _share_out(self, workers: Workers, subnets: Sequence[Subnet]) -> Iterator[Evaluation]:
        waiting = deque(subnets)
        running: dict[Future[Evaluation], Subnet] = {}
        deaths: Counter[Subnet] = Counter()  # of workers that evaluated it
        lost: dict[Subnet, WorkerDied] = {}
        failure: Exception | None = None
        while running or (waiting and not failure):
            while waiting and not failure and len(running) < workers.count:
                subnet = waiting.popleft()
                running[workers.submit(subnet)] = subnet
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                subnet = running.pop(future)
                try:
                    evaluation = workers.result(future)
                except WorkerDied as death:
                    deaths[subnet] += 1
                    if deaths[subnet] > 1:
                        lost[subnet] = death
                    else:
                        waiting.append(subnet)
                except Exception as error:
                    failure = failure or error
                else:
                    self._evaluator.store(evaluation)
                    yield evaluation
        if failure:
            raise failure
        for subnet, twice in lost.items():
            raise UserError(
                f"{subnet}: twice {twice}. All other evaluations are kept: the same command goes on from here"
            ) from twice

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *error: object) -> None:
        if self._workers is not None:
            self._workers.close()
