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


@pytest.fixture(scope="module")
def clip() -> tuple[torch.Tensor, torch.Tensor]:
    """Mixture (2, 1920) and lips (2, 3, 88, 88)."""
    generator = torch.Generator().manual_seed(1)
    mixture = 0.1 * torch.randn(2, 3 * 640, generator=generator)
    return mixture, torch.randint(0, 256, (2, 3, 88, 88), dtype=torch.uint8, generator=generator)


def randomised(network: AVConvTasNet) -> AVConvTasNet:
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network
