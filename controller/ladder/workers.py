"""Worker processes on this machine, for `controller.ladder.executor`."""

from __future__ import annotations

from concurrent.futures import Future

import torch

from controller.ladder.evaluation import Evaluation, Evaluator
from supernet.processes import WorkerPool
from supernet.space import Subnet


class Processes:
    """`count` processes that evaluate; the threads of this one are divided among them."""

    def __init__(self, evaluator: Evaluator, count: int) -> None:
        self.count = count
        self._pool = WorkerPool(count, max(1, torch.get_num_threads() // count), (evaluator,))

    def submit(self, subnet: Subnet) -> Future[Evaluation]:
        """Begin an evaluation."""
        return self._pool.submit(_evaluate, subnet)

    def result(self, future: Future[Evaluation]) -> Evaluation:
        """What came of an evaluation that is done. Raises WorkerDied, or what the evaluation raised."""
        return future.result()

    def close(self) -> None:
        """Stop the processes, whatever they are doing."""
        self._pool.close()


def _evaluate(evaluator: Evaluator, subnet: Subnet) -> Evaluation:
    return evaluator.evaluate(subnet)
