"""Exported networks compute what PyTorch does, and files that are none are refused in one line."""

import random
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from supernet import AVConvTasNet, SearchSpace, Subnet, extract, load, save
from supernet.deploy import export as exporting
from supernet.deploy.choosing import opened
from supernet.deploy.chunks import LipWindow, enhance_stream
from supernet.deploy.eager import Eager
from supernet.deploy.export import TOLERANCE, export
from supernet.deploy.runtime import Enhancer, stated_hash
from supernet.errors import UserError
from supernet.models import SMALL
from supernet.space import PAPER_WINNER

SOME = [SearchSpace.smallest, PAPER_WINNER, SearchSpace.largest, *random.Random(0).sample(list(SearchSpace()), 20)]
NARROW = 1 / 32
openvino = pytest.mark.skipif(not find_spec("openvino"), reason="OpenVINO is not installed")


def trained(subnet: Subnet, width: float = NARROW, causal: bool = False) -> AVConvTasNet:
    """A network none of whose weights is what it starts as, and whose masks are not flat."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AVConvTasNet(subnet, width, causal).eval()
        for name, weight in network.named_parameters():
            weight.data += (0.3 if "separator.mask" in name else 0.1) * torch.randn_like(weight)
    return network


def clips(frames: int, batch: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    mixture = generator.uniform(-1, 1, (batch, 640 * frames)).astype(np.float32)
    return mixture, generator.integers(0, 256, (batch, frames, 88, 88), np.uint8)


def apart(network: AVConvTasNet, run, mixture: np.ndarray, lips: np.ndarray | None) -> float:
    with torch.inference_mode():
        expected = network(torch.from_numpy(mixture), None if lips is None else torch.from_numpy(lips)).numpy()
    none = np.zeros((len(mixture), 0, 88, 88), np.uint8)
    return float(np.abs(run(mixture, none if lips is None else lips) - expected).max())


@pytest.mark.parametrize("place, subnet", list(enumerate(SOME)), ids=str)
def test_it_is_pytorch_to_1e_4(place, subnet, tmp_path):
    network = trained(subnet, (NARROW, 1 / 8)[place % 2], causal=place % 3 == 1)
    export(network, tmp_path / "a.onnx")
    run = Enhancer.open(tmp_path / "a.onnx").run
    for frames, batch in ((1, 3), (7, 2), (60, 1)):
        mixture, lips = clips(frames, batch)
        assert apart(network, run, mixture, lips) < TOLERANCE
        assert apart(network, run, mixture, None) < TOLERANCE


def by_openvino(path: Path, mixture: np.ndarray, lips: np.ndarray) -> np.ndarray:
    return Enhancer.open(path, "openvino").run(mixture, lips)


@openvino
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("subnet", SOME[:4], ids=str)
def test_so_it_is_by_openvino(subnet, causal, tmp_path):
    network = trained(subnet, causal=causal)
    for form in ("openvino", "onnxruntime"):
        export(network, tmp_path / "a.onnx", form=form)
        mixture, lips = clips(10, 2)
        for shown in (lips, lips[:, :0]):
            with ProcessPoolExecutor(1, get_context("spawn")) as one:  # a process in which it has run may not fork
                found = one.submit(by_openvino, tmp_path / "a.onnx", mixture, shown).result()
            assert apart(network, lambda *_: found, mixture, shown if shown.size else None) < TOLERANCE


@pytest.mark.parametrize("causal", [False, True])
def test_a_minute_too(causal, tmp_path):
    network = trained(SearchSpace.smallest, 1 / 8, causal)
    export(network, tmp_path / "a.onnx")
    mixture, lips = clips(1500)
    assert apart(network, Enhancer.open(tmp_path / "a.onnx").run, mixture, lips) < TOLERANCE


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_rounded_weights_are_pytorchs_at_the_same_rounding(precision, tmp_path):
    network = trained(PAPER_WINNER)
    export(network, tmp_path / "half.onnx", precision)
    export(network, tmp_path / "full.onnx")
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    for weight in network.parameters():
        weight.data = weight.data.to(dtype).float()
    mixture, lips = clips(10)
    assert apart(network, Enhancer.open(tmp_path / "half.onnx").run, mixture, lips) < TOLERANCE
    assert apart(network, Enhancer.open(tmp_path / "full.onnx").run, mixture, lips) > TOLERANCE
    assert (tmp_path / "half.onnx").stat().st_size < (tmp_path / "full.onnx").stat().st_size


def test_plain_operators_of_an_ordinary_opset(tmp_path):
    for form in ("onnxruntime", "openvino"):
        export(trained(SearchSpace.smallest), tmp_path / "a.onnx", form=form)
        model = onnx.load(tmp_path / "a.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert {node.domain for node in model.graph.node} == {""}
        assert [entry.version for entry in model.opset_import] == [21]
        names = {tensor.name for tensor in model.graph.initializer}
        assert "separator.repeats.0.0.expand.weight" in names and "encoder.weight" in names


def test_what_a_file_says_of_itself(tmp_path):
    whole = trained(SearchSpace.largest)
    network = extract(whole, PAPER_WINNER)
    said = export(
        network, tmp_path / "a.onnx", "bf16", licence="CC BY 4.0", quality={"si_snri": 9.5}, lip_region="landmarks"
    )
    about = Enhancer.open(tmp_path / "a.onnx").about
    assert about == said
    assert (about.subnet, about.width, about.causal, about.norm) == (str(PAPER_WINNER), NARROW, False, "global")
    assert (about.licence, about.quality, about.lip_region) == ("CC BY 4.0", {"si_snri": 9.5}, "landmarks")
    assert about.source == ""  # of no file


def test_one_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "TOLERANCE", 1e-12)
    with pytest.raises(UserError, match="off PyTorch"):
        export(trained(SearchSpace.smallest), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_weights_that_a_precision_cannot_hold_are_refused(tmp_path):
    network = trained(SearchSpace.smallest)
    network.decoder.weight.data[0, 0] = 1e6
    with pytest.raises(UserError, match="fp16 cannot hold"):
        export(network, tmp_path / "a.onnx", "fp16")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [0, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_one_flipped_bit_is_noticed(place, tmp_path):
    export(trained(SearchSpace.smallest), tmp_path / "a.onnx")
    content = bytearray((tmp_path / "a.onnx").read_bytes())
    content[int(place * len(content))] ^= 4
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.onnx: .*export it again"):
        Enhancer.open(tmp_path / "a.onnx")


def test_foreign_files_are_refused(tmp_path):
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [value], [output])
    onnx.save(
        onnx.helper.make_model(graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 21)]),
        tmp_path / "a.onnx",
    )
    with pytest.raises(UserError, match=r"a\.onnx: was not exported by this program"):
        Enhancer.open(tmp_path / "a.onnx")
    for content, reason in ((b"no network", "is no readable ONNX file"), (b"", "is empty")):
        (tmp_path / "a.onnx").write_bytes(content)
        with pytest.raises(UserError, match=rf"a\.onnx: {reason}"):
            Enhancer.open(tmp_path / "a.onnx")
    with pytest.raises(UserError, match="no such file"):
        Enhancer.open(tmp_path / "b.onnx")


def test_long_sound_is_chunked_by_the_same_rule(tmp_path):
    network = trained(SearchSpace.smallest)
    export(network, tmp_path / "a.onnx")
    mixture, lips = clips(460)
    expected = enhance_stream(network, iter([mixture[0, 3:, None]]), [LipWindow(iter(lips[0]))], 200)
    found = Enhancer.open(tmp_path / "a.onnx")(mixture[0, 3:], lips[0])
    np.testing.assert_allclose(found, np.concatenate(list(expected))[:, 0], atol=TOLERANCE)


@pytest.mark.parametrize("mixture", [np.zeros((2, 640), np.float32), np.zeros(640)])
def test_other_shapes_are_refused(mixture):
    with pytest.raises(UserError, match="mixture: must be float32"):
        Enhancer.open(SMALL.with_suffix(".onnx"))(mixture)


def test_the_shipped_model_ships_in_both_forms():
    exported = Enhancer.open(SMALL.with_suffix(".onnx"))
    assert exported.about.source == stated_hash(SMALL) and exported.about.licence
    assert SMALL.with_suffix(".onnx").stat().st_size < 1e6
    mixture, lips = clips(75)
    assert apart(load(SMALL), exported.run, mixture, lips) < TOLERANCE


def test_the_exported_form_runs_where_it_is_of_the_same_weights(tmp_path, capsys):
    path = tmp_path / "a.safetensors"
    save(trained(SearchSpace.smallest), path, lip_region="face_track")
    assert isinstance(opened(path)[0], Eager)
    export(load(path), tmp_path / "a.onnx", lip_region="face_track")
    network, region = opened(path)
    assert isinstance(network, Enhancer) and region == "face_track"
    assert isinstance(opened(path, "torch")[0], Eager)
    path.unlink()
    assert isinstance(opened(tmp_path / "a.onnx")[0], Enhancer)
    save(trained(PAPER_WINNER), path)
    assert isinstance(opened(path)[0], Eager)
    assert "a.onnx: was made of other weights than a.safetensors" in capsys.readouterr().err


def test_a_network_changed_since_it_was_read_is_of_no_file(tmp_path):
    save(trained(SearchSpace.smallest), tmp_path / "a.safetensors")
    network = load(tmp_path / "a.safetensors")
    assert export(network, tmp_path / "a.onnx").source == stated_hash(tmp_path / "a.safetensors") != ""
    network.decoder.weight.data += 1
    assert export(network, tmp_path / "a.onnx").source == ""


def test_what_is_asked_for_and_not_there_is_named(tmp_path):
    save(trained(SearchSpace.smallest), tmp_path / "a.safetensors")
    for asked, reason in (
        (dict(by="onnxruntime"), "has no exported form"),
        (dict(by="tvm"), "runtime: must be one of"),
        (dict(by="onnxruntime", device="cuda"), "runs on the CPU"),
    ):
        with pytest.raises(UserError, match=reason):
            opened(tmp_path / "a.safetensors", **asked)
    with pytest.raises(UserError, match="PyTorch does not run"):
        opened(SMALL.with_suffix(".onnx"), "torch")
