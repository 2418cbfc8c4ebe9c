import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from eval.costs import macs, parameters
from supernet import AVConvTasNet, SearchSpace, extract
from supernet.elastic import DepthwiseConv
from supernet.space import PAPER_WINNER

WIDTH = 1 / 32


@pytest.fixture(scope="module")
def supernet() -> AVConvTasNet:
    return AVConvTasNet(SearchSpace.largest, WIDTH)


def test_closed_form_parameters_equal_the_counted_ones_for_all_324(supernet):
    for subnet in SearchSpace(WIDTH):
        counted = sum(p.numel() for p in extract(supernet, subnet).parameters())
        assert parameters(subnet, WIDTH) == counted, str(subnet)


def test_closed_form_macs_equal_the_counted_ones_for_all_324(supernet):
    """Matrix products and convolutions counted by torch, the shifted products of the depthwise layers by a hook."""
    frames = 25
    mixture = torch.randn(1, 640 * frames)
    lips = torch.zeros(1, frames, 88, 88, dtype=torch.uint8)
    for subnet in SearchSpace(WIDTH):
        assert counted_macs(extract(supernet, subnet), mixture, lips) == macs(subnet, WIDTH, 1.0), str(subnet)


def counted_macs(network: nn.Module, mixture: torch.Tensor, lips: torch.Tensor) -> float:
    depthwise = []
    hooks = [
        module.register_forward_hook(lambda m, inputs, y: depthwise.append(y.numel() * m.weight.shape[1]))
        for module in network.modules()
        if isinstance(module, DepthwiseConv)
    ]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(mixture, lips)
    for hook in hooks:
        hook.remove()
    return counter.get_total_flops() / 2 + sum(depthwise)


def test_the_full_width_winner_has_the_papers_size():
    assert 2.8e6 <= parameters(PAPER_WINNER) <= 3.0e6


def test_the_largest_separator_alone_has_10_8_million():
    largest = AVConvTasNet(SearchSpace.largest)
    assert round(sum(p.numel() for p in largest.separator.parameters()) / 1e6, 1) == 10.8


def test_the_lip_encoder_is_compact():
    winner = AVConvTasNet(PAPER_WINNER)
    lips = sum(p.numel() for part in (winner.lip_trunk, winner.lip_head) for p in part.parameters())
    assert lips <= 0.15e6
    assert _lip_macs(winner) <= 0.05 * macs(PAPER_WINNER)
    narrow = AVConvTasNet(PAPER_WINNER, 1 / 8)
    assert _lip_macs(narrow) <= 0.5 * (macs(PAPER_WINNER, 1 / 8) - _lip_macs(narrow))


def _lip_macs(network: AVConvTasNet) -> float:
    """For one second."""
    from supernet.space import channels

    shape = channels(network.subnet, network.width)
    part = nn.ModuleList([network.lip_trunk, network.lip_head])
    part.forward = lambda lips, _: network.lip_head(network.lip_trunk(lips), shape)
    return counted_macs(part, torch.zeros(1, 25, 88, 88, dtype=torch.uint8), None)


def test_macs_grow_with_seconds():
    assert macs(PAPER_WINNER, seconds=3) == pytest.approx(3 * macs(PAPER_WINNER))
