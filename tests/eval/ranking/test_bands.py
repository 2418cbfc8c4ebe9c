"""The subnets of the truth lie in bands of equal MACs, and any subnets divide into such bands again."""

import pytest

from eval.costs import macs
from eval.ranking.bands import BANDS, OF_A_BAND, TOLERANCE, equal_macs, truth_bands
from supernet.space import AXES, PAPER_WINNER, SearchSpace

EXTREMES = {SearchSpace.smallest, SearchSpace.largest}


@pytest.fixture(scope="module", params=[1 / 8, 1.0], ids=["narrow", "full"])
def space(request) -> SearchSpace:
    return SearchSpace(request.param)


def test_six_bands_of_eight_distinct_subnets(space):
    bands = truth_bands(space)
    assert [len(band) for band in bands] == [OF_A_BAND] * BANDS
    assert len(set(sum(bands, []))) == 48
    assert set(sum(bands, [])) <= set(space)


def test_winner_smallest_and_largest_are_among_them(space):
    bands = truth_bands(space)
    assert space.smallest == bands[0][-1]
    assert space.largest == bands[-1][-1]
    assert any(PAPER_WINNER in band for band in bands)


def test_a_band_matches_in_macs_but_for_the_two_extremes(space):
    for band in truth_bands(space):
        cost = [macs(subnet, space.width) for subnet in band if subnet not in EXTREMES]
        assert max(cost) <= TOLERANCE * min(cost)


def test_bands_come_cheapest_first(space):
    bands = [[macs(s, space.width) for s in band if s not in EXTREMES] for band in truth_bands(space)]
    assert all(max(cheap) < min(dear) for cheap, dear in zip(bands, bands[1:], strict=False))


def test_a_band_differs_in_shape(space):
    """Even the dearest, which all need the most channels, differ in four axes, depth among them."""
    for band in truth_bands(space):
        assert sum(len({getattr(subnet, axis) for subnet in band}) > 1 for axis in AXES) >= 4
        assert len({subnet.depth for subnet in band}) > 1


def test_the_same_seed_gives_the_same_subnets_and_another_seed_others(space):
    assert truth_bands(space) == truth_bands(SearchSpace(space.width))
    assert truth_bands(space, seed=0) != truth_bands(space, seed=1)


def test_equal_macs_gives_the_bands_back_with_the_extremes_by_themselves(space):
    bands = truth_bands(space)
    inner = [[subnet for subnet in band if subnet not in EXTREMES] for band in bands]
    wanted = [[space.smallest], *inner, [space.largest]]
    found = equal_macs(sum(bands, []), space.width)
    assert [set(band) for band in found] == [set(band) for band in wanted]


def test_all_324_divide_into_bands_of_equal_macs(space):
    bands = equal_macs(space, space.width)
    assert sorted(sum(bands, [])) == sorted(space)
    for band in bands:
        cost = [macs(subnet, space.width) for subnet in band]
        assert max(cost) <= TOLERANCE * min(cost)


def test_no_subnets_have_no_bands():
    assert equal_macs([], 1.0) == []
