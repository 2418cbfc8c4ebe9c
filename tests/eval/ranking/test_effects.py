"""Effects that were put into a made-up table are found again."""

import numpy as np
import pytest

from eval.ranking.bands import equal_macs, truth_bands
from eval.ranking.effects import (
    STEPS,
    Step,
    additive_share,
    at_equal_macs,
    axis_shares,
    fitted_effects,
    interactions,
    main_effects,
)
from supernet.space import AXES, SearchSpace, Subnet

SPACE = SearchSpace(1 / 8)
VISUAL = Step("visual", 128, 256)


def additive(subnet: Subnet) -> float:
    return 0.3 * (subnet.visual == 256) + 0.01 * subnet.bottleneck - 0.1 * subnet.repeats**2


ALL = {subnet: additive(subnet) for subnet in SPACE}
TRUTH = {subnet: additive(subnet) for subnet in sum(truth_bands(SPACE), [])}


def test_main_effects_of_an_additive_table_are_exact():
    effects = main_effects(ALL)
    assert list(effects) == STEPS
    assert effects[VISUAL].change == pytest.approx(0.3)
    assert effects[VISUAL].standard_deviation == pytest.approx(0, abs=1e-9)
    assert effects[VISUAL].pairs == 162
    assert effects[Step("repeats", 3, 4)].change == pytest.approx(-0.7)
    assert effects[Step("blocks", 4, 6)].change == pytest.approx(0)


def test_an_effect_that_depends_on_the_shape_has_a_deviation():
    mixed = {subnet: additive(subnet) + (subnet.visual == 256) * (subnet.repeats == 2) for subnet in SPACE}
    assert main_effects(mixed)[VISUAL].standard_deviation > 0.4


def test_steps_without_a_pair_have_no_effect():
    assert set(main_effects({SPACE.smallest: 1.0})) == set()


def test_fitted_effects_find_the_steps_from_the_truth_alone():
    fitted = fitted_effects(TRUTH)
    assert fitted[VISUAL].value == pytest.approx(0.3)
    assert fitted[Step("repeats", 3, 4)].value == pytest.approx(-0.7)
    assert fitted[VISUAL].count == 48


def test_the_standard_error_of_a_fitted_effect_is_that_of_repeated_studies():
    rng = np.random.default_rng(0)
    studies = [
        fitted_effects({subnet: value + rng.normal(0, 0.1) for subnet, value in TRUTH.items()})[VISUAL]
        for _ in range(100)
    ]
    spread = np.std([study.value for study in studies])
    assert np.mean([study.standard_error for study in studies]) == pytest.approx(spread, rel=0.25)


def test_too_few_subnets_have_no_fitted_effects():
    assert fitted_effects({}) == {}
    assert fitted_effects(dict(list(TRUTH.items())[:11])) == {}
    assert fitted_effects({subnet: 1.0 for subnet in SPACE if subnet.visual == 128}) == {}


def test_at_equal_macs_only_distances_inside_bands_count():
    bands = equal_macs(SPACE, SPACE.width)
    by_band = {subnet: float(number) for number, band in enumerate(bands) for subnet in band}
    assert all(mean.value == pytest.approx(0) for mean in at_equal_macs(by_band, bands, "expansion").values())
    best = {subnet: value + (subnet.expansion == 2.0) for subnet, value in by_band.items()}
    means = at_equal_macs(best, bands, "expansion")
    assert max(means, key=lambda option: means[option].value) == 2.0
    assert sum(mean.count for mean in means.values()) == sum(len(band) for band in bands if len(band) > 1)


def test_axes_that_do_nothing_explain_nothing():
    shares = axis_shares(ALL)
    assert set(shares) == set(AXES)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert shares["expansion"] == pytest.approx(0, abs=1e-9)
    assert additive_share(ALL) == pytest.approx(1)


@pytest.mark.filterwarnings("error")
def test_of_a_constant_table_no_axis_explains_anything():
    constant = dict.fromkeys(SPACE, 7.0)
    assert set(axis_shares(constant).values()) == {0}
    assert set(interactions(constant).values()) == {0}
    assert additive_share(constant) == 0


def test_an_interaction_that_was_put_in_is_the_largest():
    mixed = {subnet: additive(subnet) + (subnet.visual == 256) * (subnet.blocks == 8) for subnet in SPACE}
    assert list(interactions(mixed))[0] == ("blocks", "visual")
    assert list(interactions(mixed).values())[0] > 0.01
    assert max(interactions(ALL).values()) == pytest.approx(0, abs=1e-9)
