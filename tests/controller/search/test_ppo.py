"""That PPO is PPO: advantages, masks, ratio, clipping and recurrence. Checks that a broken one must fail are functions,
so that the negative controls at the end can break it and see them fail; `test_ppo_learns` holds the tasks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from landscape import paper_reward_in, quality

from controller.search.mdp import ArchitectureEnv
from controller.search.policy import LSTMPolicy, entropy, log_probabilities
from controller.search.ppo import (
    PPOSettings,
    Rollout,
    clipped_objective,
    diagnostics,
    generalized_advantages,
    loss,
    roll_out,
)
from controller.search.settings import SearchSettings
from controller.studies.methods.ablations import AblatedPPO
from supernet.errors import UserError

SETTINGS = PPOSettings()
LITERAL = AblatedPPO(epsilon_in_ratio=False)


def column(*values: float) -> torch.Tensor:
    """(steps, 1): one episode."""
    return torch.tensor(values, dtype=torch.float64)[:, None]


@pytest.fixture
def policy() -> LSTMPolicy:
    torch.manual_seed(0)
    return LSTMPolicy(torch.rand(12))


@pytest.fixture
def environments(space):
    return [ArchitectureEnv(space, quality, paper_reward_in(space)) for _ in range(4)]


@pytest.fixture
def rollout(policy, environments):
    return roll_out(policy, environments, SETTINGS, torch.Generator().manual_seed(1))


def test_defaults_are_the_papers_where_it_gives_values():
    given = ("learning_rate", "weight_decay", "clip", "epsilon", "gae_lambda", "hidden")
    assert [getattr(SETTINGS, name) for name in given] == [3e-4, 1e-2, 0.2, 0.3, 0.95, 256]
    assert isinstance(SETTINGS.policy(torch.rand(12)), LSTMPolicy)
    assert (SearchSettings().episodes, SearchSettings().steps) == (35, 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 0.0), ("learning_rate", np.nan), ("clip", -0.1), ("gradient_norm", np.inf), ("epsilon", 1.1)]
    + [("gae_lambda", -0.1), ("discount", np.nan), ("update_epochs", -1), ("hidden", 0)],
)
def test_a_setting_that_nothing_learns_with_is_refused_by_name(name, value):
    with pytest.raises(UserError, match=name):
        PPOSettings(**{name: value})


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


def check_agreement(policy, rollout, settings):
    """The update's log-probabilities and values, before its first step, are those of the rollout."""
    logits, values, _ = policy(rollout.observations)
    log_policy = log_probabilities(logits, rollout.masks, settings.ratio_epsilon)
    again = log_policy.gather(-1, rollout.actions[..., None]).squeeze(-1)
    torch.testing.assert_close(again, rollout.log_probabilities, atol=1e-6, rtol=0)
    torch.testing.assert_close(values, rollout.values, atol=1e-6, rtol=0)


def test_rollout_and_update_agree_before_the_first_step(policy, rollout):
    assert not rollout.masks.all()
    check_agreement(policy, rollout, SETTINGS)


def test_stepwise_lstm_equals_sequence_lstm(policy):
    observations = torch.rand(5, 3, 12)
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
    policy(torch.rand(5, 1, 12))[0].sum().backward()
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


def check_first_gradient(policy, rollout, settings):
    """Before the first step PPO's gradient is that of REINFORCE with a baseline, of the policy that acted."""
    settings = replace(settings, value_coefficient=0.0, entropy_coefficient=0.0)
    advantages = generalized_advantages(rollout.rewards, rollout.values, settings.discount, settings.gae_lambda)
    parameters = [parameter for name, parameter in policy.named_parameters() if not name.startswith("critic")]
    found = torch.autograd.grad(loss(policy, rollout, advantages, settings)[0], parameters)

    log_policy = log_probabilities(policy(rollout.observations)[0], rollout.masks, settings.epsilon)
    chosen = log_policy.gather(-1, rollout.actions[..., None]).squeeze(-1)
    expected = torch.autograd.grad(-(chosen * advantages).mean(), parameters)
    for here, there in zip(found, expected, strict=True):
        torch.testing.assert_close(here, there, atol=1e-5, rtol=1e-3)


def test_first_gradient_is_reinforce_with_baseline(policy, rollout):
    check_first_gradient(policy, rollout, SETTINGS)


# What is told of the learning


def test_a_policy_that_has_not_moved_has_no_kl_and_no_clipping(policy, rollout):
    log_policy = log_probabilities(policy(rollout.observations)[0], rollout.masks, SETTINGS.epsilon)
    returns = rollout.values + torch.randn(rollout.values.shape)
    figures = diagnostics(rollout.log_probabilities, log_policy, rollout, returns, SETTINGS.clip)
    assert figures["approx_kl"] == figures["clip_fraction"] == 0
    assert 0 < figures["entropy"] <= rollout.masks.sum(-1).log().mean()
    assert figures["explained_variance"] < 1
    perfect = diagnostics(rollout.log_probabilities, log_policy, rollout, rollout.values, SETTINGS.clip)
    assert perfect["explained_variance"] == 1


def test_kl_clip_fraction_and_explained_variance_equal_a_case_worked_by_hand():
    flat = torch.zeros(2, 1, 2)
    rollout = Rollout(flat, flat == 0, flat[..., 0].long(), torch.zeros(2, 1), column(1, 2), column(0, 0))
    new = torch.tensor([[1.1], [1.5]]).log()  # ratios of which one lies beyond 1.2
    figures = diagnostics(new, torch.full((2, 1, 2), 0.5).log(), rollout, column(1, 3), 0.2)
    kl = np.mean([0.1 - np.log(1.1), 0.5 - np.log(1.5)])
    # the returns vary by 1, what the critic leaves of them, 0 and 1, by 0.25
    expected = {"approx_kl": kl, "clip_fraction": 0.5, "entropy": np.log(2), "explained_variance": 0.75}
    assert figures == pytest.approx(expected)
    same = diagnostics(new, torch.full((2, 1, 2), 0.5).log(), rollout, column(3, 3), 0.2)
    assert same["explained_variance"] == 0  # there is nothing to explain


# Negative controls: each mistake fails the check that is there for it


def test_a_mask_dropped_in_the_update_fails_the_agreement(policy, rollout):
    with pytest.raises(AssertionError, match="not close"):
        check_agreement(policy, replace(rollout, masks=torch.ones_like(rollout.masks)), SETTINGS)


def test_a_softmax_ratio_under_epsilon_fails_the_agreement(policy, rollout):
    with pytest.raises(AssertionError, match="not close"):
        check_agreement(policy, rollout, LITERAL)


def test_the_literal_epsilon_fails_the_first_gradient(policy, environments):
    rollout = roll_out(policy, environments, LITERAL, torch.Generator().manual_seed(1))
    check_agreement(policy, rollout, LITERAL)  # it is consistent, and yet not the policy that acted
    with pytest.raises(AssertionError, match="not close"):
        check_first_gradient(policy, rollout, LITERAL)
