"""Model files that were damaged, or made to harm: refused at once, in one line that names the file."""

import json
import time

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from controller.cli import main
from supernet import AVConvTasNet, SearchSpace, load, save
from supernet.checkpoint import read_notes, read_tensors
from supernet.errors import UserError


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(0)
    save(AVConvTasNet(SearchSpace.smallest, 1 / 32), tmp_path / "model.safetensors", lip_region="detect")
    return tmp_path / "model.safetensors"


def rewritten(path, change, tensors=None):
    """The file with another header, as an enemy would write it: without hashes."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["header"])
        found = {name: file.get_tensor(name) for name in file.keys()}
    header = {key: value for key, value in header.items() if key not in ("sha256", "tensors")}
    text = change(header)
    save_file(
        tensors(found) if tensors else found, path, {"header": text if isinstance(text, str) else json.dumps(text)}
    )


CHANGES = {
    "width 64": lambda header: header | {"width": 64},
    "width 0": lambda header: header | {"width": 0},
    "width of text": lambda header: header | {"width": "wide"},
    "a bool for a width": lambda header: header | {"width": True},
    "sample rate 8000": lambda header: header | {"sample_rate": 8000},
    "unknown norm": lambda header: header | {"norm": "batch"},
    "unknown variant": lambda header: header | {"variant": {"fusion": "product"}},
    "variant of text": lambda header: header | {"variant": "other"},
    "unknown key": lambda header: header | {"extra": 1},
    "no subnet": lambda header: {key: value for key, value in header.items() if key != "subnet"},
    "subnet outside the space": lambda header: header | {"subnet": "E999-B999-X9-R9-H9.0-V9"},
    "subnet of numbers": lambda header: header | {"subnet": [1, 2]},
    "a list": lambda header: [header],
    "null": lambda header: None,
    "text": lambda header: "what else",
    "nested deep": lambda header: "[" * 100_000 + "]" * 100_000,
    "notes nested deep": lambda header: json.dumps(header)[:-1] + ', "notes": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "NaN": lambda header: header | {"width": float("nan")},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_header_that_can_not_be_true_is_refused_at_once(path, change):
    rewritten(path, change)
    began = time.monotonic()
    with pytest.raises(UserError, match="model.safetensors: ") as error:
        load(path)
    assert "\n" not in str(error.value) and time.monotonic() - began < 1


@pytest.mark.parametrize("notes", [[1], None, "text", 3, True])
def test_notes_that_are_no_object_are_refused(path, notes):
    rewritten(path, lambda header: header | {"notes": notes})
    for read in (load, read_notes):
        with pytest.raises(UserError, match="model.safetensors: its header is damaged"):
            read(path)


@pytest.mark.parametrize("rule", ["mouth", 3, None, ["detect"], {}])
def test_a_lip_region_that_there_is_not_is_refused(path, rule, tmp_path, capsys):
    rewritten(path, lambda header: header | {"notes": {"lip_region": rule}})
    soundfile.write(tmp_path / "talk.wav", np.zeros(8_000), 16_000)
    assert main(["enhance", str(tmp_path / "talk.wav"), "--model", str(path)]) == 2
    assert "model.safetensors: its lip_region is " in capsys.readouterr().err


def test_any_bit_that_flips_in_a_model_is_noticed(path):
    content, rng = path.read_bytes(), np.random.default_rng(0)
    known = load(path).state_dict()
    for place in [*range(0, 2000, 97), *rng.integers(len(content), size=60)]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = load(path).state_dict()
        except UserError as error:
            assert "model.safetensors: " in str(error)
        else:
            assert all(torch.equal(found[name], known[name]) for name in known)


def test_a_file_without_hashes_is_read_as_former_versions_wrote_it(path):
    known = load(path).state_dict()
    rewritten(path, lambda header: header)
    assert all(torch.equal(value, known[name]) for name, value in load(path).state_dict().items())
    assert read_tensors(path, "network")[1]["sample_rate"] == 16_000


@pytest.mark.parametrize("factor", [1e6, 1e15, 1e30, float("nan")])
def test_weights_that_make_no_sound_are_refused_with_nothing_written(path, factor, tmp_path, capsys):
    """Huge and finite, or not finite at all."""
    rewritten(path, lambda header: header, lambda found: {name: 1 + value * factor for name, value in found.items()})
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
    soundfile.write(tmp_path / "noisy.wav", sound, 16_000)
    assert main(["enhance", str(tmp_path / "noisy.wav"), "--model", str(path)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ofa-avse:")]
    assert "model.safetensors: " in line
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.safetensors", "noisy.wav"]
