"""What a search and a check of the scores are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from controller.search.mdp import ArchitectureEnv, State
from controller.search.ppo import PPOSettings
from controller.search.reward import Reward, RewardSettings
from supernet.errors import UserError
from supernet.space import SearchSpace, Subnet

Method = Literal["ppo", "random", "shared", "walk", "evolution", "local", "sizes", "gp", "nsga2", "tpe", "exhaustive"]
SEEDS = 2**32  # that every library's generator takes


@dataclass(frozen=True)
class SurrogateSettings:
    """How the policy learns on the model of quality, where an episode costs nothing, before each round of proposals.

    Args:
        optimism: how many standard deviations above its mean the model's SI-SNRi is taken in the virtual episodes.
        updates: of the policy, a fresh one for each round.
        episodes: virtual episodes of one update, half of them from the best subnet so far, half from the baseline.
        steps: actions of a virtual episode; 12 reach any subnet from any other.
        ppo: how the policy learns; smaller and faster than in `paper` mode, since it learns anew in each round.
    """

    optimism: float = 1.0
    updates: int = 8
    episodes: int = 16
    steps: int = 12
    ppo: PPOSettings = field(default_factory=lambda: PPOSettings(learning_rate=3e-3, epsilon=0.1, hidden=64))

    def __post_init__(self) -> None:
        for name, least in (("updates", 1), ("episodes", 2), ("steps", 1)):
            if getattr(self, name) < least:
                raise UserError(f"search.surrogate.{name}: must be at least {least}, not {getattr(self, name)}")
        if not isfinite(self.optimism):
            raise UserError(f"search.surrogate.optimism: must be finite, not {self.optimism:g}")


@dataclass(frozen=True)
class SearchSettings:
    """A search for the best subnet.

    Args:
        method: `ppo`, the controller, or a rival: `random` without replacement; `shared`, descending score with shared
            weights; `walk`, the controller's walks without learning; regularised `evolution`; `local` search; `sizes`,
            the largest within the target first; `gp`, a Gaussian process with expected improvement; `nsga2` (pymoo)
            and `tpe` (Optuna); `exhaustive`.
        mode: how `ppo` spends its evaluations: `surrogate` trains the policy on a model of quality and evaluates its
            best proposals; `paper` is the paper's Algorithm 1.
        prior: whether `ppo` in mode surrogate, and `gp`, start from the scores with shared weights.
        episodes: how many walks of `paper` and `walk`, or rounds of `surrogate` and `gp`; each round evaluates one
            subnet a worker. Other methods look at episodes x steps subnets, `exhaustive` at all.
        steps: actions in an episode.
        workers: episodes rolled out for one update, in lockstep, or proposals of a round, each evaluated in a process
            of its own. It changes the search, so it is set here and does not follow the machine.
        ray: address of a Ray cluster that evaluates, such as `auto` for the one that this machine belongs to; null
            evaluates on this machine. It changes no result but the last bits.
        confirm: how many of the best are retrained from scratch, for the best of these to win.
        max_evaluations: the search ends when it has needed this many distinct evaluations, the largest subnet's
            included; null sets no limit. Revisited subnets and those that the ledger knew before count alike.
        seed: the search is a pure function of it and of the evaluations.
        state: what the policy sees: `paper` literally, `visual` with the visual channels, or `full` with steps left
            and goal too.
        compute_bound: whether repeats x blocks <= 24 limits the walk and the winner.
        reward: what is maximised.
        ppo: how the policy learns in mode `paper`.
        surrogate: how it learns in mode `surrogate`.
    """

    method: Method = "ppo"
    mode: Literal["surrogate", "paper"] = "surrogate"
    prior: bool = True
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
    surrogate: SurrogateSettings = field(default_factory=SurrogateSettings)

    def __post_init__(self) -> None:
        for name in ("episodes", "steps", "workers", "confirm", "max_evaluations"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"search.{name}: must be at least 1, not {value}")
        if not 0 <= self.seed < SEEDS:
            raise UserError(f"search.seed: must lie in [0, {SEEDS}), not {self.seed}")

    def may_win(self, subnet: Subnet) -> bool:
        """Whether `subnet` keeps the compute bound, where there is one."""
        return not self.compute_bound or SearchSpace.within_bound(subnet)

    @property
    def kind(self) -> type[ArchitectureEnv]:
        return ArchitectureEnv

    def environment(
        self,
        space: SearchSpace,
        quality: Callable[[Subnet], float],
        reward: Reward,
        steps: int,
    ) -> ArchitectureEnv:
        """Where a policy walks, `steps` actions an episode."""
        return self.kind(space, quality, reward, self.state, steps, self.compute_bound)

    @property
    def looks(self) -> int:
        """Subnets that a method without walks or rounds may look at."""
        return self.episodes * self.steps
