"""The networks that recipes compare are slices and extractions like the product's."""

import pytest
import torch

from eval.peers.ablations import ConcatenatedFusion, LinearDilation
from supernet import AVConvTasNet, SearchSpace, Subnet, extract, load, save
from supernet.errors import UserError
from tests.supernet.conftest import WIDTH, randomised


@pytest.mark.parametrize("kind", [ConcatenatedFusion, LinearDilation])
def test_extraction_equals_the_slice(kind, clip):
    supernet = randomised(kind(SearchSpace.largest, WIDTH))
    plain = randomised(AVConvTasNet(SearchSpace.largest, WIDTH))
    with torch.inference_mode():
        for subnet in (SearchSpace.smallest, Subnet(256, 192, 6, 3, 2.0, 128), SearchSpace.largest):
            small = extract(supernet, subnet)
            assert type(small) is kind
            assert torch.equal(small(*clip), supernet(*clip, subnet))
        assert not torch.equal(plain(*clip), supernet(*clip))


def test_one_layer_more_is_all_that_concatenation_adds():
    def names(kind):
        weights = kind(SearchSpace.largest, WIDTH).state_dict()
        return {name.replace("bottleneck.reduce.", "bottleneck.") for name in weights}

    added = {"separator.bottleneck.mix.weight", "separator.bottleneck.mix.bias"}
    assert names(ConcatenatedFusion) == names(AVConvTasNet) | added


def test_linear_dilation_is_linear():
    offsets = [block.depthwise.offsets for block in LinearDilation(SearchSpace.largest, WIDTH).separator.repeats[0]]
    assert offsets == [[-d, 0, d] for d in range(1, 1 + SearchSpace.largest.blocks)]


def test_a_file_of_one_is_refused_by_its_class(tmp_path):
    save(LinearDilation(SearchSpace.smallest, WIDTH), tmp_path / "linear.safetensors")
    with pytest.raises(UserError, match="linear.safetensors: holds a network of class LinearDilation"):
        load(tmp_path / "linear.safetensors")
