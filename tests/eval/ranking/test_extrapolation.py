"""Fine-tuning curves are read as they were made."""

import numpy as np
import pytest

from eval.ranking.extrapolation import anchored, last_epochs, power_law
from supernet.space import SearchSpace

SUBNETS = SearchSpace().subnets[:6]
EPOCHS = np.arange(1, 11)


def curve(number: int) -> tuple[float, ...]:
    return tuple(5 + 0.3 * number - 2 * EPOCHS**-0.6)


CURVES = {subnet: curve(number) for number, subnet in enumerate(SUBNETS)}


def test_last_epochs_are_the_mean_of_three():
    assert last_epochs({SUBNETS[0]: (0, 1, 2, 3, 10)})[SUBNETS[0]] == pytest.approx(5)


def test_a_power_law_is_carried_to_the_full_training():
    for number, value in enumerate(power_law(CURVES, epochs=60).values()):
        assert value == pytest.approx(5 + 0.3 * number - 2 * 60**-0.6, abs=0.01)


@pytest.mark.parametrize("flat", [0.0, -80.0, 80.0])
def test_a_power_law_of_a_flat_curve_stays_there(flat):
    assert power_law({SUBNETS[0]: (flat,) * 10})[SUBNETS[0]] == pytest.approx(flat, abs=0.2)


@pytest.mark.filterwarnings("error")
def test_a_curve_too_short_for_a_power_law_is_its_mean():
    assert power_law({SUBNETS[0]: (5.0, 6.0, 7.0)})[SUBNETS[0]] == 6


def test_a_curve_without_a_fit_falls_back_to_its_last_epochs(monkeypatch):
    def diverges(*args, **options):
        raise RuntimeError("no convergence")

    monkeypatch.setattr("eval.ranking.extrapolation.curve_fit", diverges)
    assert power_law(CURVES) == last_epochs(CURVES)


def test_anchors_move_the_level_and_keep_the_ranking():
    means = last_epochs(CURVES)
    anchors = {SUBNETS[0]: means[SUBNETS[0]] + 1.0, SUBNETS[3]: means[SUBNETS[3]] + 2.0}
    carried = anchored(CURVES, anchors)
    assert all(carried[subnet] == pytest.approx(means[subnet] + 1.5) for subnet in SUBNETS)
