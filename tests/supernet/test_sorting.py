import copy

import torch

from supernet import AVConvTasNet, SearchSpace
from supernet.losses import si_snr
from supernet.recipe import sort_channels
from tests.supernet.conftest import WIDTH, randomised


def trained(steps: int):
    """A randomised network after some steps of AdamW, whose moments are then not all alike."""
    torch.manual_seed(0)
    network = randomised(AVConvTasNet(SearchSpace.largest, WIDTH))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(steps):
        step(network, optimizer)
    return network, optimizer


def step(network, optimizer):
    generator = torch.Generator().manual_seed(0)
    mixture, clean = torch.randn(2, 2, 1280, generator=generator)
    lips = torch.randint(0, 256, (2, 2, 88, 88), dtype=torch.uint8, generator=generator)
    optimizer.zero_grad()
    (-si_snr(network(mixture, lips), clean).mean()).backward()
    optimizer.step()


def test_the_largest_keeps_its_function_and_goes_on_training_as_before(clip):
    network, optimizer = trained(3)
    before = copy.deepcopy(network.state_dict())
    with torch.inference_mode():
        expected = network(*clip)
    sort_channels(network, optimizer)
    assert any(not torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with torch.inference_mode():
        torch.testing.assert_close(network(*clip), expected, atol=1e-5, rtol=1e-4)
    step(network, optimizer)
    undisturbed, _ = trained(4)
    with torch.inference_mode():
        torch.testing.assert_close(network(*clip), undisturbed(*clip), atol=1e-4, rtol=1e-3)


def test_the_channels_that_are_read_most_come_first():
    network, optimizer = trained(0)
    sort_channels(network, optimizer)
    for repeat in network.separator.repeats:
        for block in repeat:
            weights = block.reduce.weight.abs().sum(0)
            assert (weights.diff() <= 1e-6).all()


def test_encoder_channels_keep_the_order_of_the_inverse_basis():
    network, optimizer = trained(0)
    before = network.encoder.weight.clone()
    sort_channels(network, optimizer)
    assert torch.equal(network.encoder.weight, before)
