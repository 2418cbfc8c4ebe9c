"""Evaluations on a Ray cluster. Needs the extra `ray`; imported when a search asks for it.

    ray start --head --num-cpus 2 --disable-usage-stats     # and `ray start --address HEAD:6379` on every other node
    ofa-avse search --search.workers 2 --search.ray auto

The nodes need this package, and the run's folder and corpus under the same paths: a shared file system.
"""

from __future__ import annotations

import os
import socket
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import urlsplit

import torch

from controller.ladder.evaluation import Evaluation, Evaluator
from supernet.errors import UserError
from supernet.processes import WorkerDied
from supernet.space import Subnet

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ImportError as error:
    raise UserError("search.ray: Ray is not installed; pip install 'ofa-avse[ray]', or leave search.ray out") from error


class Cluster:
    """`count` evaluations at a time on the cluster at `address`, whose CPUs are divided among them.

    Each has a GPU to itself when this machine has one. Raises UserError when there is no such cluster.
    """

    def __init__(self, evaluator: Evaluator, count: int, address: str) -> None:
        self.count = count
        try:
            if address != "auto":
                _knock(address)
            ray.init(address, log_to_driver=False)
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"search.ray: no cluster at '{address}' ({reason}); start one: ray start --head") from error
        largest = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
        threads = max(1, min(largest, int(ray.cluster_resources()["CPU"]) // count))
        # the retry is the executor's, the same for every kind of worker
        options = {"num_cpus": threads, "num_gpus": int(torch.cuda.is_available()), "max_retries": 0}
        self._task = ray.remote(**options)(_evaluate)
        self._arguments = ray.put(evaluator), threads, Path.cwd()

    def submit(self, subnet: Subnet) -> Future[Evaluation]:
        """Begin an evaluation."""
        return self._task.remote(subnet, *self._arguments).future()

    def result(self, future: Future[Evaluation]) -> Evaluation:
        """What came of an evaluation that is done. Raises WorkerDied, or what the evaluation raised."""
        try:
            return future.result()
        except RayTaskError as error:
            raise error.cause from error
        except RayError as error:
            raise WorkerDied(type(error).__name__) from error

    def close(self) -> None:
        """Leave the cluster, which ends what still runs there."""
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError or ValueError where nothing listens: Ray itself would try for five minutes."""
    url = urlsplit(address if "://" in address else f"//{address}")
    socket.create_connection((url.hostname, url.port), timeout=10).close()


def _evaluate(subnet: Subnet, evaluator: Evaluator, threads: int, folder: Path) -> Evaluation:
    os.chdir(folder)  # paths in settings may be relative to where the search was started
    torch.set_num_threads(threads)
    return evaluator.evaluate(subnet)
