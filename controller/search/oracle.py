"""What every search method talks to: it asks for subnets, the oracle evaluates, rewards, counts and records them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tqdm import tqdm

from controller.ladder.evaluation import Evaluation
from controller.search.reward import Costs, Reward
from controller.search.settings import SearchSettings
from supernet.space import SearchSpace, Subnet
from supernet.tracking import Silent, Tracker


class BudgetSpent(Exception):
    """The search has had all the evaluations that it was allowed."""


@dataclass(frozen=True)
class Move:
    """One step of a search: `action` led to `subnet`. Episodes and steps count from 1; the start is 0, 0.

    A method that does not walk has no actions, and its rounds in place of episodes.
    """

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


class Evaluates(Protocol):
    """What the oracle needs of an executor (`controller.ladder.executor.Executor`)."""

    def evaluate(self, subnets: Sequence[Subnet]) -> Iterator[Evaluation]:
        """Evaluations of `subnets`, in any order."""
        ...


class Oracle:
    """Answers a search. Begins with the largest subnet, whose SI-SNRi the reward needs and where walks start.

    Args:
        space: what is searched.
        executor: evaluates.
        costs: of a subnet.
        settings: of which the reward and the most distinct evaluations are read.
        progress: a bar that counts distinct evaluations.
        shared: SI-SNRi in dB of every subnet with shared weights, for the methods that start from it.
        tracker: is told how a policy learns.
    """

    def __init__(
        self,
        space: SearchSpace,
        executor: Evaluates,
        costs: Costs,
        settings: SearchSettings,
        progress: tqdm,
        shared: Mapping[Subnet, float] | None = None,
        tracker: Tracker | None = None,
    ) -> None:
        self.space, self.costs, self.shared = space, costs, shared
        self.evaluations: dict[Subnet, Evaluation] = {}
        self.rows: list[Row] = []
        self._recorded: set[Subnet] = set()
        self._executor, self._budget, self._progress = executor, settings.max_evaluations, progress
        self._tracker, self._steps, self._learning = tracker or Silent(), 0, ""
        self._evaluate([space.largest])
        self.reward_at = Reward.of(settings.reward, space, self.quality, costs)
        self._record(Move(0, 0, space.largest))

    def quality(self, subnet: Subnet) -> float:
        """SI-SNRi in dB of a subnet visited before. Raises KeyError for any other."""
        return self.evaluations[subnet].si_snri

    def reward(self, subnet: Subnet) -> float:
        """The reward of a subnet visited before."""
        return self.reward_at(subnet, self.quality(subnet))

    def learned(self, steps: int, figures: Mapping[str, float]) -> None:
        """Show and log how an update of a policy went, from `steps` more steps of its episodes, virtual ones included.

        Args:
            figures: of `ppo.update`; none where nothing learns.
        """
        self._steps += steps
        if figures:
            self._tracker.log({f"search/{name}": figure for name, figure in figures.items()} | {"step": self._steps})
            shown = ", KL {approx_kl:.4f}, clipped {clip_fraction:.0%}, entropy {entropy:.2f}, explained "
            self._learning = (shown + "{explained_variance:.2f}").format_map(figures)

    def look(self, subnets: Sequence[Subnet]) -> None:
        """Visit subnets that a method without walks has chosen, as its next round; see `visit`."""
        number = self.rows[-1].move.episode + 1
        self.visit([Move(number, step, subnet) for step, subnet in enumerate(subnets, 1)])

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
        cached = move.subnet in self._recorded
        self._recorded.add(move.subnet)
        si_snri, reward = self.quality(move.subnet), self.reward(move.subnet)
        self.rows.append(Row(move, self.costs.params(move.subnet), si_snri, reward, cached))
        reached = f"episode {move.episode}, {move.subnet} {si_snri:.2f} dB"
        self._progress.set_postfix_str(reached + self._learning, refresh=False)
