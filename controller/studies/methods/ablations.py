"""The controller with parts of it changed, for comparison: what lost against the paper's form, and is no setting of
`search`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from controller.search.mdp import ACTIONS, ArchitectureEnv
from controller.search.ppo import PPOSettings
from controller.search.settings import SearchSettings, SurrogateSettings


class MLPPolicy(nn.Module):
    """The LSTM's control, which remembers nothing: two hidden layers, the same heads and the same calls."""

    def __init__(self, observation: int, actions: int = 12, hidden: int = 256) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(observation, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.actor = nn.Linear(hidden, actions)
        self.critic = nn.Linear(hidden, 1)

    def forward(self, observations: Tensor, state: None = None) -> tuple[Tensor, Tensor, None]:
        """As `LSTMPolicy.forward`, without a state."""
        features = self.body(observations)
        return self.actor(features), self.critic(features).squeeze(-1), None


class Unmasked(ArchitectureEnv):
    """Offers every action, so that the violation term alone speaks against invalid ones, which stay where they are."""

    def _info(self) -> dict[str, Any]:
        return super()._info() | {"action_mask": np.ones(len(ACTIONS), np.int8)}


@dataclass(frozen=True)
class AblatedPPO(PPOSettings):
    """How the policy learns, in the paper's form unless told otherwise.

    Args:
        network: `lstm` is the paper's; `mlp` remembers nothing.
        epsilon_in_ratio: false is the literal reading: actions are explored with epsilon, but the ratio is that of the
            softmax alone, which never drew them.
    """

    network: Literal["lstm", "mlp"] = "lstm"
    epsilon_in_ratio: bool = True

    @property
    def ratio_epsilon(self) -> float:
        return self.epsilon if self.epsilon_in_ratio else 0.0

    def policy(self, baseline: Tensor) -> nn.Module:
        return super().policy(baseline) if self.network == "lstm" else MLPPolicy(len(baseline), hidden=self.hidden)


@dataclass(frozen=True)
class AblatedSearch(SearchSettings):
    """A search, in the form of the product unless told otherwise.

    Its fields are those that `search` itself once had, so that the keys of runs that are kept have not changed.

    Args:
        masked: false lets `paper` choose invalid actions, which cost reward.gamma.
    """

    masked: bool = True
    ppo: PPOSettings = field(default_factory=AblatedPPO)
    surrogate: SurrogateSettings = field(
        default_factory=lambda: SurrogateSettings(ppo=AblatedPPO(**vars(SurrogateSettings().ppo)))
    )

    @property
    def kind(self) -> type[ArchitectureEnv]:
        return ArchitectureEnv if self.masked else Unmasked
