"""A small supernet with nothing left at its initial value, and a clip for it."""

import pytest
import torch

from supernet import AVConvTasNet, SearchSpace

WIDTH = 1 / 32


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=[("global", False), ("frame", False), ("frame", True)], ids=str)
def supernet(request) -> AVConvTasNet:
    """Width 1/32, its norm gains, biases and slopes randomised: at their initial ones and zeros, errors would hide."""
    norm, causal = request.param
    return randomised(AVConvTasNet(SearchSpace.largest, WIDTH, causal, norm))


def randomised(network: AVConvTasNet) -> AVConvTasNet:
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network
