import pytest
import torch

from supernet import SearchSpace, Subnet, extract
from supernet.elastic import parameter_axes, prefix
from supernet.errors import UserError
from supernet.space import channels

WIDTH = 1 / 32


def test_extracted_subnet_equals_its_slice_bit_for_bit(supernet, clip):
    with torch.inference_mode():
        for subnet in SearchSpace(WIDTH):
            small = extract(supernet, subnet)
            assert torch.equal(small(*clip), supernet(*clip, subnet)), str(subnet)


def test_extraction_without_lips_equals_its_slice_too(supernet, clip):
    with torch.inference_mode():
        for subnet in list(SearchSpace(WIDTH))[::20]:
            assert torch.equal(extract(supernet, subnet)(clip[0]), supernet(clip[0], None, subnet))


def test_weights_outside_the_slice_get_exactly_zero_gradient(supernet, clip):
    mixture, lips = clip[0][:1], clip[1][:1]
    for subnet in SearchSpace(WIDTH):
        supernet.zero_grad()
        supernet(mixture, lips, subnet).square().mean().backward()
        shape = channels(subnet, WIDTH)
        inside = {name for name, _ in extract(supernet, subnet).named_parameters()}
        for name, parameter, axes in parameter_axes(supernet):
            if parameter.grad is None:
                assert name not in inside
                continue
            outside = parameter.grad.clone()
            if name in inside:
                sliced = prefix(parameter, axes, shape)
                assert sliced.numel()
                outside[tuple(slice(n) for n in sliced.shape)] = 0
            assert not outside.any(), f"{subnet} {name}"


def test_every_weight_of_the_slice_gets_a_gradient(supernet, clip):
    subnet = Subnet(192, 192, 6, 3, 2.0, 128)
    supernet.zero_grad()
    supernet(*clip, subnet).square().mean().backward()
    shape = channels(subnet, WIDTH)
    inside = {name for name, _ in extract(supernet, subnet).named_parameters()}
    for name, parameter, axes in parameter_axes(supernet):
        if name in inside:
            assert prefix(parameter.grad, axes, shape).any(), name


def test_an_extracted_network_shares_no_memory_with_the_supernet(supernet, clip):
    small = extract(supernet, SearchSpace.smallest)
    before = supernet(*clip, SearchSpace.smallest)
    for parameter in small.parameters():
        parameter.data.zero_()
    assert torch.equal(supernet(*clip, SearchSpace.smallest), before)


def test_a_small_network_cannot_give_a_larger_one(supernet):
    with pytest.raises(UserError, match="does not fit"):
        extract(extract(supernet, SearchSpace.smallest), SearchSpace.largest)
