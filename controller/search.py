"""The search for the best subnet: Algorithm 1 of the paper, and the frame that every search method shares.

Called by `ofa-avse search` and `quickstart`.

A search is a pure function of its seed and of the evaluations. So nothing of it is saved on the way but the ledger: a
search that was killed is started again, replays from its first episode with the ledger answering at once (a few
seconds), and goes on where it stopped, with the trajectory and the winner that it would have had undisturbed.

Source: section 3.5 of "Efficient Audio-Visual Speech Enhancement via Neural Architecture Search".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from controller.evaluation import Evaluation, Evaluator, LedgeredEvaluator
from controller.executor import Executor
from controller.ledger import Ledger
from controller.mdp import ArchitectureEnv, action_name
from controller.oracle import BudgetSpent, Move, Oracle, Row
from controller.policy import LSTMPolicy
from controller.ppo import optimiser_for, roll_out, update
from controller.reward import RewardSettings
from controller.rivals.random import random_search
from controller.settings import SearchSettings
from supernet.errors import UserError
from supernet.files import write_text
from supernet.space import SearchSpace, Subnet

LEDGER = "ledger.sqlite"
RESULT = "search.json"


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        winner: the evaluation of the subnet with the best reward among those within the compute bound.
        candidates: the best of these by reward, `confirm` at most, the winner first.
        winner_reward: its reward.
        rows: every step, the start first.
        evaluations: all distinct evaluations, in the order in which the search needed them.
        budget_spent: whether `max_evaluations` ended it, rather than its last episode.
        reward: the settings of the reward with `baseline` and `target` as they were used.
        settings: of the search.
    """

    winner: Evaluation
    candidates: tuple[Subnet, ...]
    winner_reward: float
    rows: tuple[Row, ...]
    evaluations: tuple[Evaluation, ...]
    budget_spent: bool
    reward: RewardSettings
    settings: SearchSettings


def progressive_shrinking(oracle: Oracle, settings: SearchSettings) -> None:
    """Algorithm 1: walk from the largest subnet, learn, and start again from the best of the last trajectory.

    With several workers that many episodes start from the same subnet and the best of all their trajectories is next.
    """
    environments = [
        ArchitectureEnv(
            oracle.space,
            oracle.quality,
            oracle.parameters,
            oracle.reward_settings,
            oracle.latency_ms,
            settings.state,
            settings.steps,
            settings.compute_bound,
        )
        for _ in range(settings.workers)
    ]
    start = oracle.space.largest
    baseline, _ = environments[0].reset(options={"start": start})
    with torch.random.fork_rng(devices=[]):  # the evaluations may draw from the global generator; leave it alone
        torch.manual_seed(settings.seed)
        policy = LSTMPolicy(torch.from_numpy(baseline))
    generator = torch.Generator().manual_seed(settings.seed)
    optimiser = optimiser_for(policy, settings.ppo)

    for done in range(0, settings.episodes, settings.workers):
        walking = environments[: settings.episodes - done]
        trajectory: list[Subnet] = []

        def evaluate(step: int, actions: list[int]) -> None:
            reached = [environment.after(action) for environment, action in zip(walking, actions)]
            oracle.visit(
                [
                    Move(done + 1 + index, step, subnet, action_name(action))
                    for index, (subnet, action) in enumerate(zip(reached, actions))
                ]
            )
            trajectory.extend(reached)

        rollout = roll_out(policy, walking, settings.ppo.epsilon, generator, {"start": start}, evaluate)
        update(policy, optimiser, rollout, settings.ppo)
        start = max((subnet for subnet in trajectory if subnet != start), key=oracle.reward)


METHODS: dict[str, Callable[[Oracle, SearchSettings], None]] = {
    "ppo": progressive_shrinking,
    "random": random_search,
}


def search(
    space: SearchSpace,
    evaluator: Evaluator,
    settings: SearchSettings,
    folder: Path,
    parameters: Callable[[Subnet], int],
    latency_ms: Callable[[Subnet], float] | None = None,
) -> SearchResult:
    """Search `space`, keeping the ledger in `folder` and writing the outcome to its `search.json`.

    Args:
        space: what is searched.
        evaluator: says what a subnet is worth.
        settings: of the search.
        folder: made if missing; a search that was killed goes on from the ledger in it.
        parameters: of a subnet, at the space's width.
        latency_ms: of a subnet; for the latency reward. The same in every run, or a replay takes another way.

    Raises:
        UserError: when no evaluated subnet keeps within the compute bound, or the baseline is not above 0 dB.
    """
    most = settings.episodes * settings.steps + 1
    most = min(most, settings.max_evaluations or most)
    with (
        Ledger(folder / LEDGER) as ledger,
        Executor(LedgeredEvaluator(evaluator, ledger), settings.workers, settings.ray) as executor,
        tqdm(desc=f"search ({settings.method})", total=most, unit="evaluation", mininterval=1) as progress,
    ):
        oracle = Oracle(space, executor, parameters, settings.reward, settings.max_evaluations, progress, latency_ms)
        try:
            METHODS[settings.method](oracle, settings)
            budget_spent = False
        except BudgetSpent:
            budget_spent = True
        progress.total = progress.n  # revisits cost nothing, so fewer evaluations than steps may be all there were
    result = _result(oracle, settings, budget_spent)
    _write(result, folder / RESULT)
    return result


def _result(oracle: Oracle, settings: SearchSettings, budget_spent: bool) -> SearchResult:
    eligible = [
        subnet
        for subnet, evaluation in oracle.evaluations.items()
        if not isnan(evaluation.si_snri) and (not settings.compute_bound or oracle.space.within_bound(subnet))
    ]
    if not eligible:
        raise UserError(
            f"search: none of the {len(oracle.evaluations)} evaluated subnets keeps the compute bound on repeats x "
            "blocks; raise search.max_evaluations or search.episodes, or set search.compute_bound to false"
        )
    candidates = sorted(eligible, key=oracle.reward, reverse=True)[: settings.confirm]
    winner = candidates[0]
    return SearchResult(
        winner=oracle.evaluations[winner],
        candidates=tuple(candidates),
        winner_reward=oracle.reward(winner),
        rows=tuple(oracle.rows),
        evaluations=tuple(oracle.evaluations.values()),
        budget_spent=budget_spent,
        reward=oracle.reward_settings,
        settings=settings,
    )


def _write(result: SearchResult, path: Path) -> None:
    """Write `search.json`, whole or not at all. NaN becomes null."""
    document = {
        "winner": {**result.winner.record(), "reward": result.winner_reward},
        "candidates": [str(subnet) for subnet in result.candidates],
        "ended": "max_evaluations spent" if result.budget_spent else "all episodes done",
        "distinct_evaluations": len(result.evaluations),
        "reward": asdict(result.reward),
        "settings": asdict(result.settings),
        "trajectory": [_row(row) for row in result.rows],
    }
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def _row(row: Row) -> dict[str, Any]:
    return {
        "episode": row.move.episode,
        "step": row.move.step,
        "subnet": str(row.move.subnet),
        "action": row.move.action,
        "params": row.parameters,
        "si_snri": None if isnan(row.si_snri) else row.si_snri,
        "reward": row.reward,
        "cached": row.cached,
    }
