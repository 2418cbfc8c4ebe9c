"""The compiled block is the block: its values and gradients, in every shape, on any number of threads."""

import copy

import pytest
import torch

from supernet import AVConvTasNet, SearchSpace, extract
from supernet.kernels import compiled, fused
from supernet.kernels.fused import fused_blocks
from supernet.model import Block
from supernet.space import channels

WIDTH = 1 / 16
SUBNETS = [SearchSpace.largest, SearchSpace.smallest, *list(SearchSpace())[7::61]]

pytestmark = pytest.mark.skipif(fused.missing() is not None, reason=f"no compiled blocks here: {fused.missing()}")


def random_block(dilation=4, causal=False):
    """A block of the supernet whose every weight matters."""
    torch.manual_seed(0)
    block = Block(channels(SearchSpace.largest, WIDTH), dilation, causal, "global")
    for parameter in block.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5)
    return block


def gradients(block, x, shape, wanted):
    """Output, and gradients of the input and of every weight."""
    x = x.clone().requires_grad_()
    with fused_blocks(wanted):
        y = block(x, shape)
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y).sin()
    found = torch.autograd.grad((y * weight).sum(), [x, *block.parameters()])
    return [y.detach(), *found]


def error(found, reference):
    """Of the output and of the whole gradient, relative to the reference's norm."""
    parts = [(found[0].double(), reference[0])]
    parts.append(tuple(torch.cat([each.double().flatten() for each in given[1:]]) for given in (found, reference)))
    return max(float((a - b).norm() / b.norm()) for a, b in parts)


@pytest.mark.parametrize("subnet", SUBNETS, ids=str)
@pytest.mark.parametrize("times", [1, 3, 4, 61, 256])
def test_it_is_as_near_to_float64_as_the_operators_are(subnet, times):
    block, shape = random_block(), channels(subnet, WIDTH)
    x = torch.randn(3, times, shape.bottleneck)
    reference = gradients(copy.deepcopy(block).double(), x.double(), shape, wanted=False)
    plain, compiled = (gradients(block, x, shape, wanted) for wanted in (False, True))
    assert error(compiled, reference) < max(1e-5, 2 * error(plain, reference))
    assert not torch.equal(compiled[1], plain[1])  # it was another way


@pytest.mark.parametrize("dilation", [1, 2, 64, 128])
@pytest.mark.parametrize("causal", [False, True])
def test_it_knows_dilation_and_causality(dilation, causal):
    block, shape = random_block(dilation, causal), channels(SearchSpace.largest, WIDTH)
    x = torch.randn(2, 100, shape.bottleneck)
    reference = gradients(copy.deepcopy(block).double(), x.double(), shape, wanted=False)
    assert error(gradients(block, x, shape, wanted=True), reference) < 1e-5


def test_the_number_of_threads_changes_no_bit():
    block, shape = random_block(), channels(SearchSpace.largest, WIDTH)
    x, before = torch.randn(5, 64, shape.bottleneck), torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(gradients(block, x, shape, wanted=True))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("subnet", SUBNETS, ids=str)
def test_a_subnet_and_its_extraction_learn_the_same_bits(subnet):
    torch.manual_seed(1)
    network = AVConvTasNet(SearchSpace.largest, 1 / 32)
    small, mixture = extract(network, subnet), torch.randn(2, 1280)
    lips = torch.randint(0, 256, (2, 2, 88, 88), dtype=torch.uint8)
    with fused_blocks(True):
        a, b = network(mixture, lips, subnet=subnet), small(mixture, lips)
        a.square().mean().backward()
        b.square().mean().backward()
    assert torch.equal(a, b)
    cut = extract(_with_gradients(network), subnet).state_dict()
    assert all(torch.equal(cut[name], parameter.grad) for name, parameter in small.named_parameters())


def _with_gradients(network):
    """The network with its gradients for weights."""
    for parameter in network.parameters():
        parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    return network


def test_it_is_used_where_a_gradient_is_asked_for_in_fp32_alone():
    x = torch.ones(1)
    with fused_blocks(True):
        assert fused.fuses(x)
        assert not fused.fuses(x.double())
        with torch.no_grad():
            assert not fused.fuses(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert not fused.fuses(x)
    assert not fused.fuses(x)


def test_it_is_compiled_once_into_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        assert not isinstance(compiled.library.__wrapped__(fused.SOURCE), str)
    (library,) = (tmp_path / "ofa-avse").iterdir()
    assert library.suffix == ".so" and library.stat().st_mode & 0o222


@pytest.mark.parametrize("compiler", ["there-is-no-such-compiler", "false"])
def test_what_hinders_compilation_is_said(tmp_path, monkeypatch, compiler):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", compiler)
    assert isinstance(reason := compiled.library.__wrapped__(fused.SOURCE), str) and reason
    assert not list(tmp_path.rglob("*.so"))
