import pytest
import torch

from supernet import AVConvTasNet, SearchSpace
from supernet.errors import UserError
from supernet.losses import si_snr
from supernet.model import windowed_cosines
from supernet.space import AXES, PAPER_WINNER, channels

WIDTH = 1 / 32


def test_encoder_and_decoder_start_as_an_inverse_pair_at_every_width_of_the_encoder():
    network = AVConvTasNet(SearchSpace.largest, WIDTH)
    speech = torch.randn(1, 6400)
    for subnet in (SearchSpace.smallest, PAPER_WINNER, SearchSpace.largest):
        shape = channels(subnet, WIDTH)
        restored = network.decoder(network.encoder(speech, shape), shape)
        assert torch.allclose(restored[:, :-20], speech[:, :-20], atol=1e-5)  # the last hop is half a window


def test_the_windowed_basis_overlaps_to_one():
    basis = windowed_cosines()
    power = basis.square().sum(0)
    assert torch.allclose(power[:20] + power[20:], torch.ones(20), atol=1e-6)


def test_an_untrained_network_returns_about_the_mixture():
    torch.manual_seed(0)
    network = AVConvTasNet(SearchSpace.largest, 1 / 8)
    mixture = torch.randn(2, 12800)
    assert (si_snr(network(mixture, None), mixture) > 15).all()


def test_a_then_b_then_a_again_gives_the_output_of_a(supernet, clip):
    subnets = list(SearchSpace(WIDTH))
    with torch.inference_mode():
        for a, b in zip(subnets[::9], reversed(subnets[::9]), strict=True):
            first = supernet(*clip, a)
            supernet(*clip, b)
            assert torch.equal(supernet(*clip, a), first)


def test_an_exit_of_a_deep_pass_is_the_shallow_network(supernet, clip):
    mixture, lips = clip
    with torch.inference_mode():
        features = supernet.lip_features(lips)
        exits = supernet.estimates(mixture, features, supernet.subnet, AXES["repeats"])
        for repeats, estimate in zip(AXES["repeats"], exits, strict=True):
            shallow = type(supernet.subnet)(256, 256, 8, repeats, 2.5, 256)
            assert torch.equal(estimate, supernet(mixture, lips, shallow))


def test_absent_lips_are_the_same_as_none(supernet, clip):
    mixture, lips = clip
    with torch.inference_mode():
        present = supernet(mixture, lips, lips_present=torch.tensor([True, False]))
        assert torch.equal(present[0], supernet(mixture[:1], lips[:1])[0])
        assert torch.allclose(present[1], supernet(mixture, None)[1], atol=1e-7)


def test_lips_change_the_output(supernet, clip):
    mixture, lips = clip
    with torch.inference_mode():
        assert not torch.equal(supernet(mixture, lips), supernet(mixture, 255 - lips))


def test_the_causal_network_looks_no_further_than_its_window():
    network = AVConvTasNet(SearchSpace.largest, WIDTH, causal=True)
    network.separator.mask.weight.data.normal_()
    mixture, lips = torch.randn(1, 6400), torch.randint(0, 256, (1, 10, 88, 88), dtype=torch.uint8)
    later, moved = mixture.clone(), lips.clone()
    later[:, 3840:] += 1
    moved[:, 6:] = 255 - moved[:, 6:]
    with torch.inference_mode():
        same = network(mixture, lips)[:, : 3840 - 40]
        assert torch.allclose(network(later, lips)[:, : 3840 - 40], same, atol=1e-6)
        assert torch.allclose(network(mixture, moved)[:, : 3840 - 40], same, atol=1e-6)


def test_a_causal_network_refuses_the_norm_over_the_clip():
    with pytest.raises(UserError, match="global"):
        AVConvTasNet(SearchSpace.smallest, WIDTH, causal=True, norm="global")


@pytest.mark.parametrize("samples", [0, 639, 1000])
def test_lengths_off_the_common_grid_are_refused(samples):
    with pytest.raises(UserError, match="multiple of 640"):
        AVConvTasNet(SearchSpace.smallest, WIDTH)(torch.zeros(1, samples))


def test_lips_of_another_length_are_refused():
    with pytest.raises(UserError, match="lips"):
        AVConvTasNet(SearchSpace.smallest, WIDTH)(torch.zeros(1, 1280), torch.zeros(1, 3, 88, 88, dtype=torch.uint8))


def test_custom_gradients_equal_numerical_ones():
    """PReLU and depthwise convolution have backward passes of their own, for speed."""
    from supernet.kernels.operators import SharedSlopePReLU, ShiftedSum

    torch.manual_seed(0)
    x = torch.randn(2, 7, 3, dtype=torch.double, requires_grad=True)
    slope = torch.tensor([0.3], dtype=torch.double, requires_grad=True)
    weight = torch.randn(3, 3, dtype=torch.double, requires_grad=True)
    bias = torch.randn(3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(SharedSlopePReLU.apply, (x, slope))
    for offsets in ([-2, 0, 2], [-4, -2, 0], [-8, 0, 8]):  # the last reaches beyond the clip
        assert torch.autograd.gradcheck(lambda *a: ShiftedSum.apply(*a, offsets), (x, weight, bias))


def test_depthwise_equals_the_convolution_of_torch():
    from supernet.elastic import DepthwiseConv

    shape = channels(SearchSpace.largest, 1 / 8)
    x = torch.randn(2, 50, shape.hidden)
    for causal, padding in ((False, (4, 4)), (True, (8, 0))):
        layer = DepthwiseConv("hidden", shape, 3, 4, causal)
        padded = torch.nn.functional.pad(x.transpose(1, 2), padding)
        expected = torch.nn.functional.conv1d(
            padded, layer.weight[:, None], layer.bias, dilation=4, groups=shape.hidden
        ).transpose(1, 2)
        assert torch.allclose(layer(x, shape), expected, atol=1e-5)
