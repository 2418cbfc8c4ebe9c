"""How good is the paper's controller? PPO against random search on a quality table, where every answer is known.

    .venv/bin/python benchmarks/search_methods.py --table runs/quick/quality.csv --seeds 50

The table's scores stand in for fine-tuned ones, so a search takes a second. Regret is the reward that the search
missed, in the units of the paper's reward (1 is the quality of the largest network).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from controller.evaluation import Evaluation
from controller.reward import resolve, reward_of
from controller.search import search
from controller.settings import SearchSettings
from eval.costs import parameters
from eval.quality_table import QualityTable
from supernet.space import SearchSpace, Subnet


@dataclass
class Lookup:
    """Evaluates by looking the subnet up."""

    table: QualityTable

    def evaluate(self, subnet: Subnet) -> Evaluation:
        row = self.table[subnet]
        return Evaluation(subnet, "shared", row.si_snri, row.si_snri_se, self.table.header.clips, (), 0.0)

    def identity(self) -> dict[str, Any]:
        return {"table": self.table.header.weights_hash}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", default="runs/quick/quality.csv")
    parser.add_argument("--seeds", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = QualityTable.load(options.table)
    size = lambda subnet: parameters(subnet, table.header.width)  # noqa: E731
    best = best_reward(table, size)
    print(f"{'method':8}{'allowed':>9}{'evaluations':>13}{'median regret':>15}{'worst regret':>14}")
    for budget in (12, 35, None):
        for method in ("ppo", "random"):
            found = [
                run(table, size, SearchSettings(method, seed=s, max_evaluations=budget)) for s in range(options.seeds)
            ]
            regrets = [best - reward for _, reward in found]
            used = median(count for count, _ in found)
            print(f"{method:8}{budget or 'all':>9}{used:>13g}{median(regrets):>15.4f}{max(regrets):>14.4f}", flush=True)


def run(table: QualityTable, size: Callable[[Subnet], int], settings: SearchSettings) -> tuple[int, float]:
    """Distinct evaluations of one search, and the reward of its winner."""
    space = SearchSpace(table.header.width)
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        stderr, sys.stderr = sys.stderr, nowhere  # fifty progress bars
        try:
            result = search(space, Lookup(table), settings, Path(folder), size)
        finally:
            sys.stderr = stderr
    return len(result.evaluations), result.winner_reward


def best_reward(table: QualityTable, size: Callable[[Subnet], int]) -> float:
    """The highest reward of a subnet that may win."""
    space = SearchSpace(table.header.width)
    quality = lambda subnet: table[subnet].si_snri  # noqa: E731
    settings = resolve(SearchSettings().reward, space, quality, size)
    return max(reward_of(settings, subnet, quality, size) for subnet in space if space.within_bound(subnet))


if __name__ == "__main__":
    main()
