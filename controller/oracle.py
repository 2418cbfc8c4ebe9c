"""What every search method talks to: it asks for subnets, the oracle evaluates, rewards, counts and records them.

Made by `controller.search.search`; used by Algorithm 1 there and by the methods in `controller.rivals`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from controller.evaluation import Evaluation
from controller.executor import Executor
from controller.reward import RewardSettings, resolve, reward_of
from supernet.space import SearchSpace, Subnet


class BudgetSpent(Exception):
    """The search has had all the evaluations that it was allowed."""


@dataclass(frozen=True)
class Move:
    """One step of a search: `action` led to `subnet`. Episodes and steps count from 1; the start is 0, 0."""

    episode: int
    step: int
    subnet: Subnet
    action: str | None = None


@dataclass(frozen=True)
class Row:
    """A move and what came of it; `cached` says that an earlier row paid for the subnet."""

    move: Move
    parameters: int
    si_snri: float
    reward: float
    cached: bool


class Oracle:
    """Answers a search. Begins with the largest subnet, whose SI-SNRi the reward needs and where walks start.

    Args:
        space: what is searched.
        executor: evaluates.
        parameters: of a subnet.
        reward: with or without `baseline` and `target`.
        budget: most distinct evaluations, or None.
        progress: a bar that counts distinct evaluations.
        latency_ms: of a subnet, for the latency reward.
    """

    def __init__(
        self,
        space: SearchSpace,
        executor: Executor,
        parameters: Callable[[Subnet], int],
        reward: RewardSettings,
        budget: int | None,
        progress: tqdm,
        latency_ms: Callable[[Subnet], float] | None = None,
    ) -> None:
        self.space, self.parameters, self.latency_ms = space, parameters, latency_ms
        self.evaluations: dict[Subnet, Evaluation] = {}
        self.rows: list[Row] = []
        self._executor, self._budget, self._progress = executor, budget, progress
        self._evaluate([space.largest])
        self.reward_settings = resolve(reward, space, self.quality, parameters)
        self._record(Move(0, 0, space.largest))

    def quality(self, subnet: Subnet) -> float:
        """SI-SNRi in dB of a subnet visited before. Raises KeyError for any other."""
        return self.evaluations[subnet].si_snri

    def reward(self, subnet: Subnet) -> float:
        """The reward of a subnet visited before."""
        return reward_of(self.reward_settings, subnet, self.quality, self.parameters, self.latency_ms)

    def visit(self, moves: Sequence[Move]) -> None:
        """Evaluate the subnets not seen before, all at once, and record the moves.

        Raises:
            BudgetSpent: when no evaluation is left afterwards; moves that could not be paid for are not recorded.
        """
        new = list(dict.fromkeys(move.subnet for move in moves if move.subnet not in self.evaluations))
        left = None if self._budget is None else self._budget - len(self.evaluations)
        self._evaluate(new[:left])
        for move in moves:
            if move.subnet in self.evaluations:
                self._record(move)
        if left is not None and len(new) >= left:
            raise BudgetSpent

    def _evaluate(self, subnets: Sequence[Subnet]) -> None:
        found = {}
        for evaluation in self._executor.evaluate(subnets):
            found[evaluation.subnet] = evaluation
            self._progress.update()
        self.evaluations.update((subnet, found[subnet]) for subnet in subnets)  # in the order asked, for repeatability

    def _record(self, move: Move) -> None:
        cached = any(row.move.subnet == move.subnet for row in self.rows)
        si_snri, reward = self.quality(move.subnet), self.reward(move.subnet)
        self.rows.append(Row(move, self.parameters(move.subnet), si_snri, reward, cached))
        self._progress.set_postfix_str(f"episode {move.episode}, {move.subnet} {si_snri:.2f} dB", refresh=False)
