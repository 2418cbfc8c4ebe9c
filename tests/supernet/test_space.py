import pytest

from supernet import SearchSpace, Subnet
from supernet.errors import UserError
from supernet.space import PAPER_WINNER, channels

space = SearchSpace()


def test_the_space_has_324_distinct_subnets():
    assert len(space) == len(set(space)) == 324


def test_every_subnet_reads_its_own_name_back():
    assert all(Subnet.parse(str(subnet)) == subnet for subnet in space)


def test_bottleneck_never_exceeds_encoder():
    assert all(subnet.bottleneck <= subnet.encoder for subnet in space)


def test_the_compute_bound_leaves_288():
    assert sum(space.within_bound(subnet) for subnet in space) == 288
    assert not space.within_bound(space.largest)
    assert space.within_bound(PAPER_WINNER)


def test_neighbours_differ_in_one_axis_by_one_option_and_are_mutual():
    for subnet in space:
        for other in space.neighbours(subnet):
            assert other in space
            assert sum(a != b for a, b in zip(vars(subnet).values(), vars(other).values(), strict=True)) == 1
            assert subnet in space.neighbours(other)


@pytest.mark.parametrize("width", [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32])
def test_channels_are_whole_and_the_encoder_keeps_the_inverse_basis(width):
    for subnet in space:
        shape = channels(subnet, width)
        assert shape.encoder >= 80
        assert shape.hidden == subnet.expansion * shape.bottleneck
        assert shape.visual == subnet.visual * width


def test_full_width_names_are_channel_counts():
    shape = channels(PAPER_WINNER)
    assert (shape.encoder, shape.bottleneck, shape.hidden, shape.visual) == (192, 192, 384, 128)


@pytest.mark.parametrize("width", [0, -1, 0.3, 1 / 128, float("nan"), float("inf")])
def test_a_width_that_splits_a_channel_is_refused(width):
    with pytest.raises(UserError, match="width"):
        SearchSpace(width)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("E192-B192-X6-R3-H2.0", "expected a name"),
        ("E192-B256-X6-R3-H2.0-V128", "bottleneck 256 must not exceed encoder 192"),
        ("E200-B192-X6-R3-H2.0-V128", "encoder must be one of 128, 192, 256, not 200"),
        ("E192-B192-X5-R3-H2.0-V128", "blocks must be one of"),
        ("", "expected a name"),
    ],
)
def test_a_name_outside_the_space_says_why(text, why):
    with pytest.raises(UserError, match=why):
        Subnet.parse(text)
