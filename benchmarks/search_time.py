"""The share of a search's time that is spent outside evaluations: policy, model of quality, ledger.

    .venv/bin/ofa-avse quickstart                   # or data, train and score: what a search needs
    .venv/bin/python benchmarks/search_time.py --run runs/quick --evaluations 6

The search of that run's configuration is done afresh, with a ledger of its own that is thrown away, in one process.
Every evaluation is really made, and timed; the rest of the wall time, from the first line of `search` to `search.json`,
is what the search itself takes. Then one round's policy training alone, on one thread. CPU seconds are printed beside
wall seconds, since other work on the machine counts in the latter. Exit code 1 when the share reaches 5 % or a round's
policy training 10 CPU seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does

import torch
from jsonargparse import ArgumentParser

from controller.ladder.evaluation import Evaluation, Evaluator
from controller.run.config import Settings
from controller.run.run import Run
from controller.search.loop import search
from controller.search.oracle import BudgetSpent, Oracle
from controller.search.settings import SearchSettings
from controller.search.surrogate import surrogate_search
from controller.studies.methods.landscapes import synthetic
from controller.studies.methods.runs import Answers
from supernet.space import SearchSpace

SHARE, ROUND = 0.05, 10.0  # the bars


class Timed:
    """An evaluator, and the wall and CPU seconds spent in it."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator, self.identities = evaluator, evaluator.identities
        self.spent = [0.0, 0.0]

    def evaluate(self, subnet) -> Evaluation:
        began = clocks()
        evaluation = self.evaluator.evaluate(subnet)
        self.spent = [spent + now - then for spent, now, then in zip(self.spent, clocks(), began, strict=True)]
        return evaluation


class Unseen:
    """A progress bar that shows nothing."""

    update = set_postfix_str = staticmethod(lambda *_, **__: None)


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def read(path: Path) -> Settings:
    """The settings that a run was made with."""
    parser = ArgumentParser()
    fields = parser.add_class_arguments(Settings, as_group=False)
    parsed = parser.instantiate(parser.parse_path(path))
    return Settings(**{field: parsed[field] for field in fields})


def share(settings: Settings, evaluations: int) -> float:
    """Of the wall time of a search."""
    run = Run(settings)
    evaluator = Timed(run.fine_tuning())
    shared = {row.subnet: row.si_snri for row in run.table.rows}
    told = replace(settings.search, max_evaluations=evaluations, workers=1, ray=None)
    with tempfile.TemporaryDirectory() as folder:
        began = clocks()
        space = SearchSpace(settings.network.width)
        result = search(space, evaluator, told, Path(folder), run.costs, shared)
        wall, cpu = (now - then for now, then in zip(clocks(), began, strict=True))
    inside, inside_cpu = evaluator.spent
    print(
        f"search of {len(result.evaluations)} evaluations: {wall:.1f} s ({cpu:.1f} CPU), in evaluations {inside:.1f} s "
        f"({inside_cpu:.1f} CPU), outside {wall - inside:.2f} s ({cpu - inside_cpu:.2f} CPU): "
        f"{1 - inside / wall:.2%} of the wall time, {1 - inside_cpu / cpu:.2%} of the CPU time"
    )
    return 1 - inside / wall


def one_round(settings: SearchSettings, rounds: int = 5) -> float:
    """CPU seconds of a round of mode `surrogate`, its model of quality and proposal included, on one thread."""
    torch.set_num_threads(1)
    landscape = synthetic("noise", 0)
    told = replace(settings, max_evaluations=None)
    oracle = Oracle(landscape.space, Answers(landscape), landscape.costs, told, Unseen(), landscape.shared)
    began = clocks()
    try:
        surrogate_search(oracle, replace(settings, mode="surrogate", episodes=rounds, workers=1))
    except BudgetSpent:  # the optimum of the table was found
        pass
    wall, cpu = ((now - then) / oracle.rows[-1].move.episode for now, then in zip(clocks(), began, strict=True))
    print(f"one round of policy training and proposal on one thread: {wall:.2f} s ({cpu:.2f} CPU)")
    return cpu


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder of a run with corpus, supernet and table")
    parser.add_argument("--evaluations", type=int, default=6)
    options = parser.parse_args()
    round_seconds = one_round(SearchSettings())
    if options.run is None:
        return int(round_seconds >= ROUND)
    settings = read(options.run / "config.yaml")
    torch.set_num_threads(settings.threads or os.cpu_count() or 1)
    return int(share(settings, options.evaluations) >= SHARE or round_seconds >= ROUND)


if __name__ == "__main__":
    sys.exit(main())
