"""Tau is scipy's, its intervals are honest, and regret is brute force's."""

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from eval.ranking.bands import truth_bands
from eval.ranking.tau import (
    DRAWS,
    Interval,
    Resamples,
    pooled_deviation,
    receptive_field,
    regret,
    tau,
    tau_in_bands,
    tau_of_the_expected,
)
from supernet.space import PAPER_WINNER, SearchSpace

BANDS = truth_bands(SearchSpace(1 / 8))
SUBNETS = sum(BANDS, [])


def values(seed: int, decimals: int = 9) -> dict:
    rng = np.random.default_rng(seed)
    return dict(zip(SUBNETS, rng.normal(size=len(SUBNETS)).round(decimals), strict=True))


def scipy_tau(score: dict, truth: dict, subnets: list) -> float:
    return kendalltau([score[s] for s in subnets], [truth[s] for s in subnets]).statistic


@pytest.mark.parametrize("decimals", [9, 0])  # 0: with many ties
def test_tau_is_scipys(decimals):
    score, truth = values(0, decimals), values(1, decimals)
    assert tau(score, truth, SUBNETS) == pytest.approx(scipy_tau(score, truth, SUBNETS))
    each = [scipy_tau(score, truth, band) for band in BANDS]
    assert tau_in_bands(score, truth, BANDS) == pytest.approx(np.mean(each))


def test_tau_of_a_draw_is_scipys_of_the_repeated_subnets():
    score, truth, band = values(0), values(1), BANDS[1]
    sample = Resamples([band], draws=50)
    for counts, found in zip(sample._counts[0], sample.tau_in_bands(score, truth)[1:], strict=True):
        repeated = [subnet for subnet, count in zip(band, counts, strict=True) for _ in range(count)]
        assert found == pytest.approx(scipy_tau(score, truth, repeated), nan_ok=True)


def test_a_draw_takes_as_many_from_each_band_as_it_has():
    sample = Resamples(BANDS, draws=20)
    assert all((counts.sum(axis=1) == 8).all() for counts in sample._counts)
    assert sample._counts[0].max() > 1


def test_a_perfect_score_gets_one_and_its_reverse_minus_one():
    truth = values(0)
    reverse = {subnet: -value for subnet, value in truth.items()}
    assert tau(truth, truth, SUBNETS) == 1
    assert np.allclose(Resamples(BANDS, draws=100).tau(reverse, truth), -1)


def test_a_constant_score_orders_nothing():
    constant = dict.fromkeys(SUBNETS, 1.0)
    assert tau(constant, values(0), SUBNETS) == 0
    assert math.isnan(tau(values(0), constant, SUBNETS))


def test_too_few_subnets_have_no_tau():
    assert math.isnan(tau(values(0), values(1), SUBNETS[:3]))
    assert math.isnan(tau_in_bands(values(0), values(1), [SUBNETS[:3], SUBNETS[3:6]]))
    assert str(Interval.of(Resamples([SUBNETS[:3]]).tau(values(0), values(1)))) == "n/a"


def test_a_band_of_one_does_not_count_inside_bands():
    score, truth = values(0), values(1)
    assert tau_in_bands(score, truth, [*BANDS[:2], [SUBNETS[-1]]]) == tau_in_bands(score, truth, BANDS[:2])


def test_draws_are_not_better_than_the_study():
    """A subnet drawn twice is no pair of equal MACs; without weights that would lift tau where MACs rank well."""
    step = {subnet: float(number) for number, band in enumerate(BANDS) for subnet in band}
    noise = values(0)
    truth = {subnet: step[subnet] + 0.3 * noise[subnet] for subnet in SUBNETS}
    estimate, *drawn = Resamples(BANDS).tau(step, truth)
    assert np.mean(drawn) == pytest.approx(estimate, abs=0.003)


def test_intervals_hold_the_true_tau_about_as_often_as_they_say():
    """Studies drawn from a population whose in-band tau is 0: 95 % intervals should hold 0 in nearly all."""
    held = 0
    for study in range(40):
        sample = Resamples(BANDS, draws=300, seed=study)
        interval = Interval.of(sample.tau_in_bands(values(2 * study), values(2 * study + 1)))
        held += interval.low <= 0 <= interval.high
    assert 36 <= held


def test_statistics_share_their_draws():
    sample, score, truth = Resamples(BANDS), values(0), values(1)
    same = Interval.of(sample.tau(score, truth) - sample.tau(dict(score), truth))
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert len(sample.tau(score, truth)) == 1 + DRAWS
    assert (Resamples(BANDS).tau(score, truth) == sample.tau(score, truth)).all()


def test_regret_is_that_of_brute_force():
    score, truth = values(0), values(1)
    for budget in (5, 20, 48):
        within = SUBNETS[:budget]
        cost = {subnet: place + 1 for place, subnet in enumerate(SUBNETS)}
        choice = regret(score, truth, cost, budget)
        assert truth[choice.best] == max(truth[subnet] for subnet in within)
        assert score[choice.chosen] == max(score[subnet] for subnet in within)
        assert choice.regret == truth[choice.best] - truth[choice.chosen] >= 0


def test_nothing_to_choose_is_no_regret():
    assert regret(values(0), values(1), dict.fromkeys(SUBNETS, 10), 9) is None


def test_pooled_deviation_is_about_each_groups_own_mean():
    assert pooled_deviation([[1, 3], [101, 103], [7]]) == pytest.approx(math.sqrt(2))
    assert pooled_deviation([[], [1, 3]]) == pytest.approx(math.sqrt(2))
    assert math.isnan(pooled_deviation([[1], [2], []]))


def test_the_expected_quality_reaches_the_tau_that_its_signal_allows():
    rng = np.random.default_rng(0)
    expected = rng.normal(0, 1, 3000)
    measured = expected + rng.normal(0, 0.5, 3000)
    assert tau_of_the_expected(1 / 1.25) == pytest.approx(kendalltau(expected, measured).statistic, abs=0.02)
    assert tau_of_the_expected(1) == 1
    assert tau_of_the_expected(0) == 0


def test_receptive_field_of_the_papers_winner():
    assert receptive_field(PAPER_WINNER) == 1 + 3 * 2 * (1 + 2 + 4 + 8 + 16 + 32)
