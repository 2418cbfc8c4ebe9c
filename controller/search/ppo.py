"""Proximal policy optimisation over whole episodes, with an LSTM and masked actions: read it from top to bottom.

Sources: Schulman et al. 2017, "Proximal Policy Optimization Algorithms"; section 3.4 of "Efficient Audio-Visual Speech
Enhancement via Neural Architecture Search".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from controller.search.policy import LSTMPolicy, entropy, log_probabilities
from supernet.errors import UserError


@dataclass(frozen=True)
class PPOSettings:
    """How the policy learns. Where the paper gives a value the default is that; elsewhere it is this project's choice.

    Args:
        learning_rate: of AdamW; the paper's.
        weight_decay: of AdamW; the paper's.
        clip: the probability ratio's gradient ends at 1 +- clip; the paper's.
        epsilon: share of uniform exploration among the valid actions, part of the policy itself; the paper's.
        gae_lambda: 0 trusts the critic (one-step differences), 1 the returns alone; the paper's is 0.95.
        discount: of the next step's reward.
        update_epochs: passes over the episodes of one update, each one optimiser step.
        value_coefficient: weight of the critic's loss.
        entropy_coefficient: weight of the entropy bonus.
        gradient_norm: the gradient is scaled down to this norm.
        hidden: units of each of the two layers; the paper's is 256.
    """

    learning_rate: float = 3e-4
    weight_decay: float = 1e-2
    clip: float = 0.2
    epsilon: float = 0.3
    gae_lambda: float = 0.95
    discount: float = 0.99
    update_epochs: int = 4
    value_coefficient: float = 0.5
    entropy_coefficient: float = 0.01
    gradient_norm: float = 0.5
    hidden: int = 256

    def __post_init__(self) -> None:
        def check(names: str, valid: Callable[[float], bool], what: str) -> None:
            for name in names.split():
                if not valid(value := getattr(self, name)):
                    raise UserError(f"{name} (of search.ppo or search.surrogate.ppo): must {what}, not {value:g}")

        check("epsilon gae_lambda discount", lambda value: 0 <= value <= 1, "lie in [0, 1]")
        check("learning_rate clip gradient_norm", lambda value: 0 < value < inf, "be above 0 and finite")
        check(
            "weight_decay value_coefficient entropy_coefficient update_epochs",
            lambda value: 0 <= value < inf,
            "be finite and not negative",
        )
        check("hidden", lambda value: value >= 1, "be at least 1")

    @property
    def ratio_epsilon(self) -> float:
        """Share of uniform exploration in the log-probabilities whose ratio PPO takes: as in the policy that acts."""
        return self.epsilon

    def policy(self, baseline: Tensor) -> nn.Module:
        """A fresh policy, for a search that starts from the observation `baseline` (observation,)."""
        return LSTMPolicy(baseline, hidden=self.hidden)


@dataclass(frozen=True)
class Rollout:
    """Whole episodes of equal length, and what the policy thought of each step when it took it."""

    observations: Tensor  # (steps, episodes, observation)
    masks: Tensor  # (steps, episodes, actions) bool
    actions: Tensor  # (steps, episodes) int64
    log_probabilities: Tensor  # (steps, episodes) of the actions taken, the denominator of the ratio
    values: Tensor  # (steps, episodes)
    rewards: Tensor  # (steps, episodes)


def agent(baseline: Tensor, settings: PPOSettings, seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A fresh policy and its optimiser, the same for the same seed; the global generator is left as it was.

    Args:
        baseline: (observation,) the observation of the architecture that the search starts from.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = settings.policy(baseline)
    return policy, optimiser_for(policy, settings)


def roll_out(
    policy: nn.Module,
    environments: Sequence[gymnasium.Env],
    settings: PPOSettings,
    generator: torch.Generator,
    options: Sequence[dict] | None = None,
    before_step: Callable[[int, list[int]], None] = lambda step, actions: None,
) -> Rollout:
    """Play one episode in each environment, in lockstep.

    Args:
        policy: chooses the actions.
        environments: whose episodes all have the same length and whose info holds an `action_mask`.
        settings: how much to explore.
        generator: draws the actions; the global generator is not touched.
        options: for the `reset` of each environment.
        before_step: called with the step, counted from 1, and all actions, before any environment takes its own.
    """
    options = options or [{}] * len(environments)
    begun = [environment.reset(options=given) for environment, given in zip(environments, options, strict=True)]
    observations, infos = zip(*begun, strict=True)
    state, done = None, False
    steps: list[tuple[Tensor, ...]] = []
    while not done:
        observation = torch.from_numpy(np.stack(observations))[None]  # (1, episodes, observation)
        mask = torch.from_numpy(np.stack([info["action_mask"] for info in infos])).bool()[None]
        with torch.no_grad():  # here alone: an environment or `before_step` may train networks of its own
            logits, values, state = policy(observation, state)
        acting = log_probabilities(logits, mask, settings.epsilon)  # (1, episodes, actions)
        action = torch.multinomial(acting[0].exp(), 1, generator=generator)  # (episodes, 1)
        taken = action.flatten().tolist()

        before_step(len(steps) + 1, taken)
        stepped = [environment.step(a) for environment, a in zip(environments, taken, strict=True)]
        observations, rewards, terminated, _, infos = zip(*stepped, strict=True)
        done = all(terminated)
        log_policy = log_probabilities(logits, mask, settings.ratio_epsilon)
        chosen = log_policy.gather(-1, action[None]).squeeze(-1)
        steps.append((observation, mask, action.T, chosen, values, torch.tensor([rewards], dtype=torch.float32)))
    return Rollout(*(torch.cat(parts) for parts in zip(*steps, strict=True)))


def generalized_advantages(rewards: Tensor, values: Tensor, discount: float, gae_lambda: float) -> Tensor:
    """Generalised advantage estimates (steps, episodes) of whole episodes: nothing is worth anything after the last."""
    advantages = torch.zeros_like(rewards)
    next_value = next_advantage = torch.zeros_like(rewards[0])
    for step in reversed(range(len(rewards))):
        surprise = rewards[step] + discount * next_value - values[step]
        advantages[step] = next_advantage = surprise + discount * gae_lambda * next_advantage
        next_value = values[step]
    return advantages


def clipped_objective(new: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Eq. 4, to be maximised: the mean of min(r A, clip(r, 1 - clip, 1 + clip) A), with r = exp(new - old).

    Args:
        new, old: log-probabilities of the actions taken, under the policy now and the policy that took them.
        advantages: of the same shape.
    """
    ratio = (new - old).exp()
    return torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


@torch.no_grad()
def diagnostics(new: Tensor, log_policy: Tensor, rollout: Rollout, returns: Tensor, clip: float) -> dict[str, float]:
    """How the learning goes: `approx_kl`, the mean of (r - 1) - log r, where r is the probability ratio;
    `clip_fraction`, the share of ratios beyond 1 +- clip; `entropy` in nats; `explained_variance`, the critic's share
    of the variance of the returns, 0 where they do not vary.

    Source: Huang et al. 2022, "The 37 Implementation Details of Proximal Policy Optimization".

    Args:
        new, log_policy: log-probabilities under the policy now, of the actions taken and of all (..., actions).
        returns: what the critic should have said. All (steps, episodes).
    """
    log_ratio = new - rollout.log_probabilities
    ratio = log_ratio.exp()
    variance = returns.var(correction=0)
    unexplained = (returns - rollout.values).var(correction=0)
    return {
        "approx_kl": (ratio - 1 - log_ratio).mean().item(),
        "clip_fraction": ((ratio - 1).abs() > clip).float().mean().item(),
        "entropy": entropy(log_policy).mean().item(),
        "explained_variance": (1 - unexplained / variance).item() if variance > 0 else 0.0,
    }


def loss(
    policy: nn.Module, rollout: Rollout, advantages: Tensor, settings: PPOSettings
) -> tuple[Tensor, dict[str, float]]:
    """What one optimiser step minimises, clipped objective, critic's squared error and entropy bonus; `diagnostics`."""
    logits, values, _ = policy(rollout.observations)
    log_policy = log_probabilities(logits, rollout.masks, settings.ratio_epsilon)
    new = log_policy.gather(-1, rollout.actions[..., None]).squeeze(-1)
    returns = advantages + rollout.values
    objective = (
        -clipped_objective(new, rollout.log_probabilities, advantages, settings.clip)
        + settings.value_coefficient * (values - returns).square().mean()
        - settings.entropy_coefficient * entropy(log_policy).mean()
    )
    return objective, diagnostics(new, log_policy, rollout, returns, settings.clip)


def optimiser_for(policy: nn.Module, settings: PPOSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(policy.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)


def update(
    policy: nn.Module, optimiser: torch.optim.Optimizer, rollout: Rollout, settings: PPOSettings
) -> dict[str, float]:
    """Learn from the episodes of one rollout, all of them in each of `update_epochs` optimiser steps; `diagnostics`,
    their means over these, empty where there are none."""
    found: list[dict[str, float]] = []
    advantages = generalized_advantages(rollout.rewards, rollout.values, settings.discount, settings.gae_lambda)
    for _ in range(settings.update_epochs):
        optimiser.zero_grad()
        objective, figures = loss(policy, rollout, advantages, settings)
        objective.backward()
        nn.utils.clip_grad_norm_(policy.parameters(), settings.gradient_norm)
        optimiser.step()
        found.append(figures)
    return {name: sum(figures[name] for figures in found) / len(found) for name in (found[0] if found else ())}
