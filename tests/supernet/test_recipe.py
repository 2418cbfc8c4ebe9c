"""Every sampler is a pure function of the step, and visits what its recipe promises."""

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from supernet import AVConvTasNet
from supernet.data.mixing.batches import Batch
from supernet.recipe import (
    OPENING,
    Fair,
    NetworkObjective,
    Progressive,
    Sandwich,
    SupernetObjective,
    Uniform,
    sampler_for,
)
from supernet.settings import SupernetSettings
from supernet.space import AXES, SearchSpace
from tests.supernet.conftest import randomised

WIDTH = 1 / 32
SPACE = SearchSpace(WIDTH)


def subnets(sampler, step):
    return [visit.subnet for visit in sampler.visits(step)]


def test_the_sandwich_warms_up_then_visits_largest_smallest_and_distinct_random_subnets():
    sampler = Sandwich(SearchSpace(WIDTH), warmup=3, random=2)
    assert [visit.subnet for visit in sampler.visits(2)] == [SearchSpace.largest]
    for step in range(3, 50):
        largest, smallest, *others = (visit.subnet for visit in sampler.visits(step))
        assert (largest, smallest) == (SearchSpace.largest, SearchSpace.smallest)
        assert len(set(others)) == 2
        assert sampler.visits(step) == sampler.visits(step)


def test_every_width_and_depth_is_visited_in_time():
    sampler = Sandwich(SearchSpace(WIDTH), warmup=0, random=1)
    visited = {replace(v.subnet, repeats=r) for step in range(1500) for v in sampler.visits(step) for r in v.exits}
    assert visited == set(SearchSpace())


def test_a_subnet_that_is_the_only_one_visited_learns_what_a_network_of_its_own_does(clip):
    """Bit for bit: that the lip trunk runs apart from the rest makes no difference."""
    mixture, lips = clip
    batch = Batch(mixture, mixture.roll(3, -1), lips, torch.ones(len(mixture), dtype=torch.bool))
    alone = SupernetObjective(Uniform(SPACE, warmup=1, exits=False))
    gradients = []
    for objective in (alone, NetworkObjective()):
        torch.manual_seed(0)
        network = randomised(AVConvTasNet(SearchSpace.largest, WIDTH))
        figures = objective.gradients(network, batch, 0, nullcontext)
        assert set(figures) == {"loss", "si_snr"}
        gradients.append([figures["loss"], figures["si_snr"], *(p.grad for p in network.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", ["sandwich", "uniform", "fair", "progressive"])
@pytest.mark.parametrize("exits", [True, False])
def test_every_sampler_warms_up_and_is_a_pure_function_of_the_step(name, exits):
    settings = SupernetSettings(sampler=name, largest_alone=2, shallow_exits=exits, random_subnets=2, steps=20)
    sampler = sampler_for(SPACE, settings)
    assert subnets(sampler, 0) == subnets(sampler, 1) == [SPACE.largest]
    for step in range(2, 20):
        visits = sampler.visits(step)
        assert visits == sampler_for(SPACE, settings).visits(step)
        for visit in visits:
            assert visit.subnet in SPACE
            depths = [r for r in AXES["repeats"] if r <= visit.subnet.repeats]
            assert list(visit.exits) == (depths if exits else depths[-1:])


def test_uniform_draws_visit_all_324():
    sampler = Uniform(SPACE, random=3, exits=False)
    assert {subnet for step in range(1500) for subnet in subnets(sampler, step)} == set(SPACE)


def test_fair_draws_use_every_option_equally_often():
    sampler = Fair(SPACE, exits=False)
    for step in range(0, 40, 2):
        first, second = subnets(sampler, step), subnets(sampler, step + 1)
        for axis in ("blocks", "repeats", "expansion"):
            for drawn in (first, second):
                assert sorted(getattr(subnet, axis) for subnet in drawn) == list(AXES[axis])
        assert len({(subnet.encoder, subnet.bottleneck) for subnet in first + second}) == 6
        assert Counter(subnet.visual for subnet in first + second) == {128: 3, 256: 3}


def test_the_progressive_space_opens_axis_by_axis():
    sampler = Progressive(SPACE, warmup=10, random=4, exits=False, steps=310)
    for phase, opened in enumerate([OPENING[0], OPENING[0] + OPENING[1], tuple(AXES)]):
        seen = [subnet for step in range(10 + 100 * phase, 110 + 100 * phase) for subnet in subnets(sampler, step)]
        moved = {axis for axis in AXES for s in seen if getattr(s, axis) != getattr(SPACE.largest, axis)}
        assert moved == set(opened)
