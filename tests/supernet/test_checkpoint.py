import pytest
import torch
from safetensors import SafetensorError

from supernet import AVConvTasNet, SearchSpace, load, save
from supernet.checkpoint import identity_hash, read_notes, weights_hash, write_atomically, write_tensors
from supernet.errors import UserError
from supernet.space import PAPER_WINNER

WIDTH = 1 / 32


@pytest.mark.parametrize(("causal", "norm"), [(False, "global"), (False, "frame"), (True, "frame")])
def test_a_saved_network_rebuilds_itself(tmp_path, causal, norm, clip):
    network = AVConvTasNet(PAPER_WINNER, WIDTH, causal, norm)
    save(network, tmp_path / "winner.safetensors", trained_on="tones")
    again = load(tmp_path / "winner.safetensors")
    assert (again.subnet, again.width, again.causal, again.norm) == (PAPER_WINNER, WIDTH, causal, norm)
    assert read_notes(tmp_path / "winner.safetensors") == {"trained_on": "tones"}
    with torch.inference_mode():
        assert torch.equal(again(*clip), network(*clip))


def test_bf16_halves_the_file_and_runs_in_fp32(tmp_path, clip):
    network = AVConvTasNet(PAPER_WINNER, 1 / 8).eval()
    save(network, tmp_path / "full.safetensors")
    save(network, tmp_path / "half.safetensors", torch.bfloat16)
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    loaded = load(tmp_path / "half.safetensors")
    assert half < 0.6 * full
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    for name, weight in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight.bfloat16().float())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere.safetensors: no such file"):
        load(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("content", [b"", b"not tensors", b"\x00" * 100])
def test_a_file_that_holds_no_tensors_is_named(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="model.safetensors: not a readable"):
        load(path)


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    save(AVConvTasNet(SearchSpace.smallest, WIDTH), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="model.safetensors"):
        load(path)


def test_another_kind_of_file_is_refused(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"x": torch.zeros(1)}, {"kind": "checkpoint"})
    with pytest.raises(UserError, match="holds no network"):
        load(tmp_path / "a.safetensors")


def older(path, variant):
    """A file as commit ee8efb0 wrote it."""
    network = AVConvTasNet(SearchSpace.smallest, WIDTH)
    header = {"kind": "network", "subnet": str(network.subnet), "width": WIDTH, "causal": False, "norm": "global"}
    write_tensors(path, network.state_dict(), header | {"variant": variant, "sample_rate": 16000, "notes": {}})
    return network


def test_networks_of_former_versions_are_read(tmp_path):
    network = older(tmp_path / "a.safetensors", {"fusion": "add", "dilation": "exponential", "mask_heads": "one"})
    assert weights_hash(load(tmp_path / "a.safetensors")) == weights_hash(network)


def test_a_variant_that_has_left_names_the_commit_that_reads_it(tmp_path):
    older(tmp_path / "a.safetensors", {"fusion": "add", "dilation": "linear", "mask_heads": "one"})
    with pytest.raises(UserError, match="a.safetensors: holds a variant .*linear.*ee8efb0"):
        load(tmp_path / "a.safetensors")


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "kept"
    write_atomically(path, lambda temporary: temporary.write_text("old"))
    with pytest.raises(ZeroDivisionError):
        write_atomically(path, lambda temporary: temporary.write_text("half") and 1 / 0)
    assert path.read_text() == "old"


def test_a_full_disk_is_named_with_the_file(tmp_path, monkeypatch):
    def full(*_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("supernet.checkpoint.save_file", full)
    with pytest.raises(UserError, match="weights.safetensors: cannot be written .*No space left.* make room"):
        write_tensors(tmp_path / "weights.safetensors", {"x": torch.zeros(1)}, {})

    def write(temporary):
        raise OSError(28, "No space left on device")  # as the system says it of an open file

    with pytest.raises(OSError) as caught:
        write_atomically(tmp_path / "table.csv", write)
    assert caught.value.filename == str(tmp_path / "table.csv")
    assert not list(tmp_path.iterdir())


def test_the_hash_of_weights_sees_every_weight():
    network = AVConvTasNet(SearchSpace.smallest, WIDTH)
    before = weights_hash(network)
    assert before == weights_hash(network)
    for parameter in network.parameters():
        parameter.data.view(-1)[-1] += 1
        assert weights_hash(network) != before
        parameter.data.view(-1)[-1] -= 1


def test_identity_does_not_depend_on_the_order_of_keys():
    assert (
        identity_hash({"a": 1, "b": [2.0]})
        == identity_hash({"b": [2.0], "a": 1})
        != identity_hash({"a": 2, "b": [2.0]})
    )
