"""Both rewards, and the values that they take when none are set."""

import math

import pytest
from landscape import parameters, quality

from controller.search.reward import Costs, Reward, RewardSettings, latency_reward, paper_reward
from supernet.errors import UserError
from supernet.space import PAPER_WINNER

PAPER = RewardSettings(baseline=15.2, target=2.9e6)


@pytest.mark.parametrize(
    ("si_snri", "params", "expected"),
    [(14.5, 2.9e6, 14.5 / 15.2), (15.2, 22e6, 1 - 0.7 * (22 / 2.9 - 1)), (14.0, 1e6, 14 / 15.2)],
)
def test_paper_reward_is_equation_3(si_snri, params, expected):
    assert paper_reward(si_snri, params, PAPER) == pytest.approx(expected)


def test_violation_costs_gamma():
    assert paper_reward(14.5, 2.9e6, PAPER) - paper_reward(14.5, 2.9e6, PAPER, violation=True) == pytest.approx(10)


def test_latency_reward_is_quality_less_the_logarithm_of_latency():
    settings = RewardSettings(kind="latency", latency_weight=2.0)
    assert latency_reward(10.0, math.e, settings) == pytest.approx(8.0)


def test_the_unit_of_latency_moves_all_rewards_alike():
    in_seconds = RewardSettings(kind="latency", latency_weight=2.0, latency_unit="s")
    assert latency_reward(10.0, 1000.0, in_seconds) == pytest.approx(10.0)


def test_budget_may_be_of_macs(space):
    costs = Costs(parameters, macs=lambda subnet: 50.0)
    reward = Reward.of(RewardSettings(cost="macs", target=40.0), space, quality, costs)
    assert reward(space.largest, quality(space.largest)) == pytest.approx(1 - 0.7 * 0.25)


def test_latency_reward_without_latencies_says_what_is_missing():
    with pytest.raises(ValueError, match="latency_ms"):
        Reward(RewardSettings(kind="latency"), Costs(parameters))(PAPER_WINNER, 10.0)


def test_baseline_and_target_default_to_the_largest_and_the_papers_winner(space):
    reward = Reward.of(RewardSettings(), space, quality, Costs(parameters))
    assert reward.settings.scale == (quality(space.largest), parameters(PAPER_WINNER))


@pytest.mark.parametrize(
    ("name", "value"),
    [("alpha", 0), ("alpha", math.inf), ("target", math.inf), ("target", -1), ("baseline", math.inf)]
    + [("beta", -0.1), ("beta", math.nan), ("gamma", -1), ("latency_weight", math.nan)],
)
def test_a_weight_that_makes_no_reward_is_refused_by_name(name, value):
    with pytest.raises(UserError, match=f"search.reward.{name}: must be"):
        RewardSettings(**{name: value})


def test_baseline_that_cannot_be_divided_by_is_refused(space):
    with pytest.raises(UserError, match="search.reward.baseline"):
        Reward.of(RewardSettings(), space, lambda subnet: -1.0, Costs(parameters))


def test_settings_that_are_not_resolved_reward_nothing():
    with pytest.raises(ValueError, match="not resolved"):
        paper_reward(10.0, 1e6, RewardSettings())
