"""That PPO is PPO: advantages, masks, ratio, clipping, recurrence, and that it learns."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from landscape import parameters, quality

from controller.mdp import ArchitectureEnv
from controller.policy import LSTMPolicy, entropy, log_probabilities
from controller.ppo import (
    PPOSettings,
    clipped_objective,
    generalized_advantages,
    loss,
    optimiser_for,
    roll_out,
    update,
)

SETTINGS = PPOSettings()


def column(*values: float) -> torch.Tensor:
    """(steps, 1): one episode."""
    return torch.tensor(values, dtype=torch.float64)[:, None]


@pytest.fixture
def policy() -> LSTMPolicy:
    torch.manual_seed(0)
    return LSTMPolicy(torch.rand(10))


@pytest.fixture
def rollout(space, policy):
    environments = [ArchitectureEnv(space, quality, parameters) for _ in range(4)]
    return roll_out(policy, environments, SETTINGS, torch.Generator().manual_seed(1))


# Advantages


def test_advantages_equal_a_case_worked_by_hand():
    # surprises: 1 + 0.5 * 2 - 1 = 1; 2 + 0.5 * 3 - 2 = 1.5; 3 - 3 = 0; then backwards with 0.5 * 0.5
    found = generalized_advantages(column(1, 2, 3), column(1, 2, 3), discount=0.5, gae_lambda=0.5)
    torch.testing.assert_close(found, column(1.375, 1.5, 0))


def test_lambda_0_is_the_one_step_difference():
    found = generalized_advantages(column(1, 2, 3), column(5, 7, 11), discount=0.9, gae_lambda=0)
    torch.testing.assert_close(found, column(1 + 0.9 * 7 - 5, 2 + 0.9 * 11 - 7, 3 - 11))


def test_lambda_1_is_the_return_less_the_value():
    found = generalized_advantages(column(1, 2, 3), column(5, 7, 11), discount=0.9, gae_lambda=1)
    torch.testing.assert_close(found, column(1 + 0.9 * 2 + 0.81 * 3 - 5, 2 + 0.9 * 3 - 7, 3 - 11))


# Masks


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_masked_actions_have_probability_0_and_no_gradient(epsilon):
    logits = torch.randn(7, 12, requires_grad=True)
    mask = torch.rand(7, 12) < 0.5
    mask[:, 3] = True
    log_policy = log_probabilities(logits, mask, epsilon)
    probabilities = log_policy.exp()
    assert (probabilities[~mask] == 0).all()
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(7))
    (log_policy[:, 3].sum() + entropy(log_policy).sum()).backward()
    assert (logits.grad[~mask] == 0).all() and logits.grad.isfinite().all()
    assert epsilon == 1.0 or (logits.grad[mask] != 0).any()


def test_masked_actions_are_never_drawn():
    logits, mask = torch.zeros(12), torch.zeros(12, dtype=torch.bool)
    logits[0], mask[[4, 9]] = 100.0, True
    drawn = torch.multinomial(log_probabilities(logits, mask, 0.3).exp(), 5000, replacement=True)
    assert set(drawn.tolist()) == {4, 9}


def test_mixture_is_the_weighted_sum_of_policy_and_uniform():
    logits = torch.tensor([1.0, 2.0, 3.0, 9.0])
    mask = torch.tensor([True, True, True, False])
    expected = 0.7 * logits[:3].softmax(0) + 0.3 / 3
    torch.testing.assert_close(log_probabilities(logits, mask, 0.3)[:3].exp(), expected)


def test_mask_without_a_valid_action_is_an_error():
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[1] = False
    with pytest.raises(ValueError, match="no valid action"):
        log_probabilities(torch.zeros(2, 12), mask, 0.3)


def test_entropy_of_a_masked_uniform_policy_is_the_log_of_its_actions():
    mask = torch.tensor([True] * 5 + [False] * 7)
    assert entropy(log_probabilities(torch.zeros(12), mask, 0.0)).item() == pytest.approx(np.log(5))


# Rollout against update


def test_rollout_and_update_agree_before_the_first_step(policy, rollout):
    logits, values, _ = policy(rollout.observations)
    log_policy = log_probabilities(logits, rollout.masks, SETTINGS.epsilon)
    again = log_policy.gather(-1, rollout.actions[..., None]).squeeze(-1)
    torch.testing.assert_close(again, rollout.log_probabilities, atol=1e-6, rtol=0)
    torch.testing.assert_close(values, rollout.values, atol=1e-6, rtol=0)


def test_softmax_alone_would_give_a_wrong_ratio_under_epsilon(policy, rollout):
    log_policy = log_probabilities(policy(rollout.observations)[0], rollout.masks, epsilon=0.0)
    wrong = log_policy.gather(-1, rollout.actions[..., None]).squeeze(-1)
    assert (wrong - rollout.log_probabilities).abs().max() > 1e-4


def test_stepwise_lstm_equals_sequence_lstm(policy):
    observations = torch.rand(5, 3, 10)
    logits, values, _ = policy(observations)
    state, stepwise = None, []
    for observation in observations:
        step_logits, step_values, state = policy(observation[None], state)
        stepwise.append((step_logits, step_values))
    torch.testing.assert_close(torch.cat([s[0] for s in stepwise]), logits, atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.cat([s[1] for s in stepwise]), values, atol=1e-6, rtol=0)


def test_hidden_state_starts_at_the_embedding_of_the_baseline(policy):
    hidden, cell = policy.initial_state(3)
    assert hidden.shape == cell.shape == (2, 3, 256)
    assert hidden.abs().sum() > 0 and torch.equal(hidden[:, 0], hidden[:, 2])
    policy(torch.rand(5, 1, 10))[0].sum().backward()
    assert policy.embedding.weight.grad.abs().sum() > 0


# The objective


@pytest.mark.parametrize(
    ("ratio", "advantage", "has_gradient"),
    [(1.3, 1.0, False), (1.1, 1.0, True), (0.7, 1.0, True), (0.7, -1.0, False), (0.9, -1.0, True), (1.3, -1.0, True)],
)
def test_clip_ends_the_gradient_exactly_where_it_should(ratio, advantage, has_gradient):
    new = torch.tensor([ratio]).log().requires_grad_()
    clipped_objective(new, torch.zeros(1), torch.tensor([advantage]), 0.2).backward()
    assert new.grad.item() == pytest.approx(ratio * advantage if has_gradient else 0.0)


def test_first_gradient_is_reinforce_with_baseline(policy, rollout):
    settings = replace(SETTINGS, value_coefficient=0.0, entropy_coefficient=0.0)
    advantages = generalized_advantages(rollout.rewards, rollout.values, settings.discount, settings.gae_lambda)
    loss(policy, rollout, advantages, settings).backward()
    found = policy.actor.weight.grad.clone()

    policy.zero_grad()
    log_policy = log_probabilities(policy(rollout.observations)[0], rollout.masks, settings.epsilon)
    chosen = log_policy.gather(-1, rollout.actions[..., None]).squeeze(-1)
    (-(chosen * advantages).mean()).backward()
    torch.testing.assert_close(found, policy.actor.weight.grad, atol=1e-5, rtol=1e-4)


# Learning


class MaskedBandit(gymnasium.Env):
    """One step; action 7 pays 1, the masked action 0 would pay 100."""

    def reset(self, *, seed=None, options=None):
        self.mask = np.ones(12, np.int8)
        self.mask[0] = 0
        return np.ones(10, np.float32), {"action_mask": self.mask}

    def step(self, action):
        assert action != 0
        return np.ones(10, np.float32), float(action == 7), True, False, {"action_mask": self.mask}


def test_a_masked_bandit_is_learned(policy):
    settings = replace(SETTINGS, learning_rate=3e-3)
    optimiser, generator = optimiser_for(policy, settings), torch.Generator().manual_seed(0)
    bandits = [MaskedBandit() for _ in range(16)]
    for _ in range(30):
        update(policy, optimiser, roll_out(policy, bandits, settings, generator), settings)
    logits = policy(torch.ones(1, 1, 10))[0]
    best = log_probabilities(logits, torch.from_numpy(bandits[0].mask).bool(), epsilon=0.0).exp()[0, 0, 7]
    assert best > 0.9
