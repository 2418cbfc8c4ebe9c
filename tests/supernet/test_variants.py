"""The networks that recipes compare are slices and extractions like the product's."""

import pytest
import torch

from supernet import AVConvTasNet, SearchSpace, Subnet, extract, load, save
from supernet.model import Variant, start_as_identity
from tests.supernet.conftest import WIDTH, randomised

VARIANTS = [Variant(fusion="concatenate"), Variant(dilation="linear"), Variant(mask_heads="each")]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_extraction_equals_the_slice_and_survives_the_disk(variant, clip, tmp_path):
    supernet = randomised(AVConvTasNet(SearchSpace.largest, WIDTH, variant=variant))
    plain = randomised(AVConvTasNet(SearchSpace.largest, WIDTH))
    with torch.inference_mode():
        for subnet in (SearchSpace.smallest, Subnet(256, 192, 6, 3, 2.0, 128), SearchSpace.largest):
            small = extract(supernet, subnet)
            save(small, tmp_path / "small.safetensors")
            expected = supernet(*clip, subnet)
            assert torch.equal(small(*clip), expected)
            assert torch.equal(load(tmp_path / "small.safetensors")(*clip), expected)
        assert not torch.equal(plain(*clip), expected)


def test_each_exit_has_its_own_mask_head(clip):
    network = randomised(AVConvTasNet(SearchSpace.largest, WIDTH, variant=Variant(mask_heads="each")))
    features = network.lip_features(clip[1])
    shallow, _, deep = network.estimates(clip[0], features, SearchSpace.largest, (2, 3, 4))
    torch.nn.init.zeros_(network.separator.deeper_masks["4"].weight)
    changed = network.estimates(clip[0], features, SearchSpace.largest, (2, 3, 4))
    assert torch.equal(changed[0], shallow)
    assert not torch.equal(changed[2], deep)


def test_blocks_that_start_as_the_identity_only_add_their_bias(clip):
    network = AVConvTasNet(SearchSpace.largest, WIDTH)
    start_as_identity(network)
    block = network.separator.repeats[0][0]
    x = torch.randn(1, 64, network.separator.bottleneck.weight.shape[0])
    from supernet.space import channels

    with torch.inference_mode():
        torch.testing.assert_close(block(x, channels(SearchSpace.largest, WIDTH)), x + block.reduce.bias)
