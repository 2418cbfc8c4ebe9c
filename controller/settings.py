"""What a search and a check of the scores are told. Used by `controller.search`, its methods, `controller.truth`, and
the command line, which is built from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from controller.mdp import State
from controller.ppo import PPOSettings
from controller.reward import RewardSettings
from supernet.errors import UserError


@dataclass(frozen=True)
class SearchSettings:
    """A search for the best subnet.

    Attributes:
        method: `ppo`, the controller; `random` draws without replacement and learns nothing.
        mode: how `ppo` spends its evaluations; `paper` is the paper's Algorithm 1.
        episodes: how many walks; `random` draws episodes x steps subnets.
        steps: actions in an episode.
        workers: episodes rolled out for one update, in lockstep, each in a process of its own. It changes the search,
            so it is set here and does not follow the machine.
        ray: address of a Ray cluster that evaluates, such as `auto` for the one that this machine belongs to; null
            evaluates on this machine. It changes no result but the last bits.
        confirm: how many of the best are retrained from scratch, for the best of these to win.
        max_evaluations: the search ends when it has needed this many distinct evaluations, the largest subnet's
            included; null sets no limit. Revisited subnets and those that the ledger knew before count alike.
        seed: the search is a pure function of it and of the evaluations.
        state: what the policy sees: `paper` literally, or `full` with visual channels, steps left and goal.
        compute_bound: whether repeats x blocks <= 24 limits the walk and the winner.
        reward: what is maximised.
        ppo: how the policy learns.
    """

    method: Literal["ppo", "random"] = "ppo"
    mode: Literal["paper"] = "paper"
    episodes: int = 35
    steps: int = 5
    workers: int = 1
    ray: str | None = None
    confirm: int = 1
    max_evaluations: int | None = None
    seed: int = 0
    state: State = "full"
    compute_bound: bool = True
    reward: RewardSettings = field(default_factory=RewardSettings)
    ppo: PPOSettings = field(default_factory=PPOSettings)

    def __post_init__(self) -> None:
        for name in ("episodes", "steps", "workers", "confirm", "max_evaluations"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"search.{name}: must be at least 1, not {value}")


@dataclass(frozen=True)
class TruthSettings:
    """What `truth` measures.

    Attributes:
        seeds: stand-alone trainings of each of the 48 subnets.
        finetune_seeds: fine-tunings: the first of all 324, the others of the 48.
        longer: how many times the steps of a stand-alone training the corners are trained, to see what is left.
        workers: processes, among which the threads are divided; changes no result but the last bits.
    """

    seeds: int = 2
    finetune_seeds: int = 2
    longer: int = 4
    workers: int = 2

    def __post_init__(self) -> None:
        for name in ("seeds", "finetune_seeds", "longer", "workers"):
            if getattr(self, name) < 1:
                raise UserError(f"truth.{name}: must be at least 1, not {getattr(self, name)}")
