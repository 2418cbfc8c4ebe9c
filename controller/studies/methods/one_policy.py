"""One policy for any budget: PPO trained under random budgets, then held to budgets that it never saw.

    .venv/bin/python -m controller.studies.methods.one_policy --seeds 3

The policy walks over the bundled table of all 324 fine-tuned subnets. Every episode of its training has a goal of its
own: a limit on parameters, MACs or latency anywhere between the smallest subnet's and the largest's, which it sees in
its state. Printed, for limits drawn afterwards: where its last step ends, as a share of the range of that cost, and
what the reward there misses of the best of the 324 under that limit; beside a policy trained alike that is not shown
its goal. Rewards are the paper's (eq. 3). Nobody has measured latency in that table: 0.2 ms a block and 1 ms for ten
million MACs stand for it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from typing import cast

import gymnasium
import numpy as np
import torch

from controller.search.mdp import ArchitectureEnv
from controller.search.ppo import PPOSettings, agent, roll_out, update
from controller.search.reward import COSTS, Cost, Costs, Reward, RewardSettings
from eval.report import markdown
from eval.table.quality_table import QualityTable
from supernet.space import SearchSpace

EPISODES, STEPS = 64, 8
SEEN = 9  # numbers of the state before the goal
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
PPO = PPOSettings(learning_rate=3e-3, epsilon=0.1, hidden=32, value_coefficient=0.1)


class Blind(gymnasium.ObservationWrapper):
    """Hides the goal: no limit is seen."""

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return np.concatenate([observation[:SEEN], np.ones(len(COSTS), np.float32)])


def environment() -> ArchitectureEnv:
    """The walk over the bundled fine-tuned table, SI-SNRi relative to the smallest subnet's."""
    table = QualityTable.bundled("finetuned", seed=0)
    row = {row.subnet: row for row in table.rows}
    space = SearchSpace(table.header.width)
    least = min(row.si_snri for row in table.rows)
    costs = Costs(
        params=lambda subnet: row[subnet].params,
        macs=lambda subnet: row[subnet].macs,
        latency_ms=lambda subnet: 0.2 * subnet.depth + row[subnet].macs / 1e7,
    )
    quality = lambda subnet: row[subnet].si_snri - least  # noqa: E731
    return ArchitectureEnv(space, quality, Reward.of(RewardSettings(baseline=1.0), space, quality, costs), steps=STEPS)


def limit(environment: ArchitectureEnv, cost: Cost, share: float) -> dict:
    """Options of an episode: a limit on `cost`, `share` of the way from the smallest subnet's to the largest's."""
    costs = [environment.costs.of(subnet, cost) for subnet in environment.space]
    return {"goal": (cost, min(costs) + share * (max(costs) - min(costs)))}


def trained(environments: list[gymnasium.Env], updates: int, seed: int) -> torch.nn.Module:
    """A policy that has learned under random limits."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    base = cast(ArchitectureEnv, environments[0].unwrapped)
    policy, optimiser = agent(torch.from_numpy(environments[0].reset()[0]), PPO, seed=seed)
    for _ in range(updates):
        goals = [limit(base, COSTS[rng.integers(len(COSTS))], rng.uniform()) for _ in environments]
        update(policy, optimiser, roll_out(policy, environments, PPO, generator, goals), PPO)
    return policy


def held_to(policy: torch.nn.Module, environments: list[gymnasium.Env], goal: dict, seed: int) -> tuple[float, float]:
    """(share of the range of the cost, reward missed) at the end of episodes under one limit, means."""
    base = cast(ArchitectureEnv, environments[0].unwrapped)
    generator = torch.Generator().manual_seed(seed)
    rollout = roll_out(policy, environments, replace(PPO, epsilon=0.0), generator, [goal] * len(environments))
    reward = lambda subnet: base.goal_reward(subnet, base.quality(subnet))  # noqa: E731
    cost = goal["goal"][0]
    costs = [base.costs.of(subnet, cost) for subnet in base.space]
    reached = float(
        np.mean([base.costs.of(cast(ArchitectureEnv, each.unwrapped).subnet, cost) for each in environments])
    )
    missed = max(map(reward, base.space)) - rollout.rewards[-1].mean().item()
    return (reached - min(costs)) / (max(costs) - min(costs)), missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for blind in (False, True):
        environments: list[gymnasium.Env] = [Blind(environment()) if blind else environment() for _ in range(EPISODES)]
        for seed in range(options.seeds):
            policy = trained(environments, options.updates, seed)
            for cost, share in product(COSTS, SHARES):
                goal = limit(cast(ArchitectureEnv, environments[0].unwrapped), cost, share)
                results[blind, cost, share, seed] = held_to(policy, environments, goal, seed)
    rows = []
    for cost, share in product(COSTS, SHARES):
        means = [np.mean([results[blind, cost, share, s] for s in range(options.seeds)], 0) for blind in (False, True)]
        rows.append([cost, share, *(text for each in means for text in (f"{each[0]:.2f}", f"{each[1]:.3f}"))])
    headers = ["limit on", "at", "ends at", "reward missed", "ends at, goal hidden", "reward missed"]
    print(markdown.table(headers, rows))
    for blind in (False, True):
        missed = np.mean([value[1] for key, value in results.items() if key[0] == blind])
        print(f"reward missed, mean over all limits{', goal hidden' if blind else ''}: {missed:.3f}")


if __name__ == "__main__":
    main()
