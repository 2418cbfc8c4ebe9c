"""Runs every search method on landscapes, seed by seed, each run once.

A finished run is a line of `runs.jsonl`, so a benchmark that was stopped goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm

from controller.ladder.evaluation import Evaluation
from controller.search.loop import METHODS
from controller.search.oracle import BudgetSpent, Oracle
from controller.search.settings import SearchSettings
from controller.studies.methods.ablations import AblatedPPO, AblatedSearch
from controller.studies.methods.landscapes import SYNTHETIC, Landscape, real, synthetic
from eval.table.quality_table import QualityTable
from supernet.checkpoint import identity_hash
from supernet.processes import WorkerPool
from supernet.space import Subnet
from supernet.storage.journal import Journal

MOST = 200  # distinct evaluations of one run
EXACT = 1e-9  # dB
CLOSE = 0.1  # dB

FREE = AblatedSearch(mode="surrogate", episodes=1000, max_evaluations=MOST)
PAPER = AblatedSearch(mode="paper", state="paper", max_evaluations=MOST)  # 35 episodes of 5 steps


def virtual(**ppo) -> SearchSettings:
    """`surrogate` with a policy that learns in another way."""
    return replace(FREE, surrogate=replace(FREE.surrogate, ppo=replace(FREE.surrogate.ppo, **ppo)))


RIVALS = ("gp", "shared", "random", "walk", "evolution", "local", "sizes", "nsga2", "exhaustive")
SEARCHES: dict[str, SearchSettings] = {
    "surrogate": FREE,
    "surrogate, 4 a round": replace(FREE, workers=4),
    "surrogate, no prior": replace(FREE, prior=False),
    "gp, no prior": replace(FREE, method="gp", prior=False),
    "paper": PAPER,
    **{method: replace(FREE, method=cast(Any, method)) for method in RIVALS},
    "tpe": replace(FREE, method="tpe", episodes=100),  # 500 looks: it comes back to where it was, and is slow
}
ABLATIONS: dict[str, SearchSettings] = {
    "paper": PAPER,
    "paper, penalty instead of mask": replace(PAPER, masked=False),
    "paper, literal epsilon": replace(PAPER, ppo=AblatedPPO(**{**vars(PAPER.ppo), "epsilon_in_ratio": False})),
    "paper, V in the state": replace(PAPER, state="visual"),
    "paper, full state": replace(PAPER, state="full"),
    "paper, MLP": replace(PAPER, ppo=AblatedPPO(**{**vars(PAPER.ppo), "network": "mlp"})),
    "paper, 4 workers": replace(PAPER, workers=4),
    "walk, 35 episodes": replace(PAPER, method="walk"),
    "surrogate": FREE,
    "surrogate, no prior": replace(FREE, prior=False),
    "surrogate, never trained": virtual(update_epochs=0),
    "surrogate, no prior, never trained": replace(virtual(update_epochs=0), prior=False),
    "surrogate, no prior, MLP": replace(virtual(network="mlp"), prior=False),
}
SEEDLESS = ("gp", "shared", "sizes", "exhaustive")  # one run tells all on a table that does not change with the seed


@dataclass(frozen=True)
class Run:
    """One search.

    Args:
        table, search, seed: which.
        regrets: in dB after 1, 2, ... distinct evaluations: by how much the reward of the best so far that may win
            falls short of the optimum's, as SI-SNRi. Ends with the search.
        steps: after which of its steps each regret was reached.
        choice: the winner after 35 distinct evaluations.
        seconds: of the search on one core, looking up included.
    """

    table: str
    search: str
    seed: int
    regrets: tuple[float, ...]
    steps: tuple[int, ...]
    choice: str
    seconds: float


class Answers:
    """Stands in for the executor: looks up, and ends the search that has found the optimum."""

    def __init__(self, landscape: Landscape) -> None:
        self.landscape, self.found = landscape, False

    def evaluate(self, subnets: Sequence[Subnet]) -> Iterator[Evaluation]:
        if self.found:
            raise BudgetSpent
        self.found = self.landscape.optimum in subnets
        for subnet in subnets:
            yield Evaluation(subnet, "finetuned", self.landscape.quality[subnet], 0.0, 1, (), 0.0)


def run(table: str, landscape: Landscape, search: str, settings: SearchSettings, seed: int) -> Run:
    """Search a landscape once."""
    settings = replace(settings, seed=seed)
    began = time.process_time()
    with tqdm(disable=True) as progress:
        oracle = Oracle(
            landscape.space,
            Answers(landscape),
            landscape.costs,
            settings,
            progress,
            landscape.shared,
        )
        try:
            METHODS[settings.method](oracle, settings)
        except BudgetSpent:
            pass
    seconds = time.process_time() - began
    best = landscape.space.largest  # until one that may win is found
    decibels = oracle.reward_at.decibels
    optimum, regrets, steps, choice = landscape.rewards[landscape.optimum], [], [], best
    for step, row in enumerate(oracle.rows):
        if row.cached:
            continue
        if settings.may_win(row.move.subnet) and (not settings.may_win(best) or row.reward > oracle.reward(best)):
            best = row.move.subnet
        regrets.append(max(0.0, optimum - decibels * oracle.reward(best)))
        steps.append(step)
        choice = best if len(regrets) <= 35 else choice
    return Run(table, search, seed, tuple(regrets), tuple(steps), str(choice), seconds)


@dataclass(frozen=True)
class Job:
    """A run to do: a synthetic table by its name, or a file of qualities and one of shared-weight scores."""

    table: str
    files: tuple[str, str] | None
    search: str
    settings: SearchSettings
    seed: int

    @property
    def key(self) -> str:
        """Changes with everything that the run depends on, but the code: after a change of that, use another folder."""
        content = [Path(file).read_text() for file in self.files or ()]
        return identity_hash({"job": [self.table, self.seed, asdict(self.settings)], "content": content})

    def do(self) -> Run:
        landscape = synthetic(self.table, self.seed) if self.table in SYNTHETIC else _read(*(self.files or ()))
        return run(self.table, landscape, self.search, self.settings, self.seed)


@lru_cache(4)
def _read(table: str, shared: str) -> Landscape:
    return real(QualityTable.load(table), QualityTable.load(shared))


def run_all(jobs: Iterable[Job], path: Path, workers: int) -> list[Run]:
    """Do the jobs that `path` does not hold yet, and return all."""
    journal = Journal(path, "delete it, and its search is run again")
    done = {line.key: line.run for line in journal.read(_Line)}
    by_key = {job.key: job for job in jobs}
    with WorkerPool(workers) as pool:
        waiting = {pool.submit(job.do): key for key, job in by_key.items() if key not in done}
        for future in tqdm(as_completed(waiting), desc="searches", total=len(waiting), mininterval=5):
            key = waiting[future]
            done[key] = future.result()
            journal.append({"key": key, **asdict(done[key])})
    return [replace(done[key], search=job.search) for key, job in by_key.items()]


@dataclass(frozen=True)
class _Line(Run):
    """Of the journal: a run under the key of its job."""

    key: str

    @property
    def run(self) -> Run:
        return Run(**{name: value for name, value in vars(self).items() if name != "key"})
