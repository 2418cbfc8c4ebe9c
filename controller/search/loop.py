"""The search for the best subnet: the frame that every search method shares, from the ledger to `search.json`.

A search is a pure function of its seed and of the evaluations. So nothing of it is saved on the way but the ledger: a
search that was killed is started again, replays from its first episode with the ledger answering at once (a few
seconds), and goes on where it stopped, with the trajectory and the winner that it would have had undisturbed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path

from msgspec import to_builtins
from tqdm import tqdm

from controller.ladder.evaluation import Evaluation, Evaluator, LedgeredEvaluator
from controller.ladder.executor import Executor
from controller.ladder.ledger import Ledger
from controller.search.algorithm1 import progressive_shrinking
from controller.search.document import SearchDocument, Step, Winner
from controller.search.oracle import BudgetSpent, Oracle, Row
from controller.search.reward import Costs, RewardSettings
from controller.search.rivals import require
from controller.search.rivals.evolution import evolution
from controller.search.rivals.local import local_search
from controller.search.rivals.orders import descending_shared_score, exhaustive, random_search, size_sweep
from controller.search.rivals.packages import nsga2, tpe
from controller.search.rivals.unlearned import expected_improvement_search, random_walk
from controller.search.settings import SearchSettings
from controller.search.surrogate import surrogate_search
from supernet.errors import UserError
from supernet.space import SearchSpace, Subnet
from supernet.storage.files import write_json
from supernet.tracking import Tracker

LEDGER = "ledger.sqlite"
RESULT = "search.json"


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Args:
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


def controller(oracle: Oracle, settings: SearchSettings) -> None:
    """Masked PPO, in either mode."""
    {"surrogate": surrogate_search, "paper": progressive_shrinking}[settings.mode](oracle, settings)


METHODS: dict[str, Callable[[Oracle, SearchSettings], None]] = {
    "ppo": controller,
    "random": random_search,
    "shared": descending_shared_score,
    "walk": random_walk,
    "evolution": evolution,
    "local": local_search,
    "sizes": size_sweep,
    "gp": expected_improvement_search,
    "nsga2": nsga2,
    "tpe": tpe,
    "exhaustive": exhaustive,
}
NEEDS = {"nsga2": "pymoo", "tpe": "optuna"}  # packages that do not come with this one


def search(
    space: SearchSpace,
    evaluator: Evaluator,
    settings: SearchSettings,
    folder: Path,
    costs: Costs,
    shared: Mapping[Subnet, float] | None = None,
    tracker: Tracker | None = None,
) -> SearchResult:
    """Search `space`, keeping the ledger in `folder` and writing the outcome to its `search.json`.

    The outcome is also kept as `<method>.json`, so that a rival's stays when another method searches.

    Args:
        space: what is searched.
        evaluator: says what a subnet is worth.
        settings: of the search.
        folder: made if missing; a search that was killed goes on from the ledger in it.
        costs: of a subnet, the same in every run, or a replay takes another way.
        shared: SI-SNRi in dB of every subnet with shared weights: the prior of `surrogate` and `gp`.
        tracker: is told how the controller's policy learns, at each update.

    Raises:
        UserError: when the method's package is missing, no evaluated subnet keeps within the compute bound, or the
            baseline is not above 0 dB.
    """
    if settings.method in NEEDS:
        require(NEEDS[settings.method], settings.method)
    most = min(len(space), settings.max_evaluations or len(space))
    with (
        Ledger(folder / LEDGER) as ledger,
        Executor(LedgeredEvaluator(evaluator, ledger), settings.workers, settings.ray) as executor,
        tqdm(desc=f"search ({settings.method})", total=most, unit="evaluation", mininterval=1) as progress,
    ):
        oracle = Oracle(space, executor, costs, settings, progress, shared, tracker)
        try:
            METHODS[settings.method](oracle, settings)
            budget_spent = False
        except BudgetSpent:
            budget_spent = True
        progress.total = progress.n  # revisits cost nothing, so fewer evaluations than steps may be all there were
    result = _result(oracle, settings, budget_spent)
    for name in (f"{settings.method}.json", RESULT):
        _write(result, folder / name)
    return result


def _result(oracle: Oracle, settings: SearchSettings, budget_spent: bool) -> SearchResult:
    eligible = [
        subnet
        for subnet, evaluation in oracle.evaluations.items()
        if not isnan(evaluation.si_snri) and settings.may_win(subnet)
    ]
    if not eligible and any(map(settings.may_win, oracle.evaluations)):
        raise UserError(
            "finetune.learning_rate: the training of every subnet that may win diverged, among "
            f"{len(oracle.evaluations)} evaluated; lower it"
        )
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
        reward=oracle.reward_at.settings,
        settings=settings,
    )


def _write(result: SearchResult, path: Path) -> None:
    """Write `search.json`, whole or not at all. NaN becomes null."""
    document = SearchDocument(
        winner=Winner(**result.winner.record(), reward=result.winner_reward),
        candidates=[str(subnet) for subnet in result.candidates],
        ended="max_evaluations spent" if result.budget_spent else "all episodes done",
        distinct_evaluations=len(result.evaluations),
        reward=result.reward,
        settings=asdict(result.settings),
        curves={str(e.subnet): list(e.curve) for e in result.evaluations if not isnan(e.si_snri)},
        trajectory=[_step(row) for row in result.rows],
    )
    write_json(path, to_builtins(document))


def _step(row: Row) -> Step:
    return Step(
        episode=row.move.episode,
        step=row.move.step,
        subnet=str(row.move.subnet),
        action=row.move.action,
        params=row.parameters,
        si_snri=None if isnan(row.si_snri) else row.si_snri,
        reward=row.reward,
        cached=row.cached,
    )
