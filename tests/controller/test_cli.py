"""The command line as a user meets it: good commands, and one clear line with exit code 2 for bad ones."""

import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import supernet
from controller.cli import COMMANDS, find_config, main
from eval.table.quality_table import QualityHeader, QualityRow, QualityTable
from supernet import AVConvTasNet, SearchSpace, load, save
from supernet.checkpoint import read_notes


def refused(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    """The error line of a command that must fail as bad input does."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert lines[-1].startswith("ofa-avse: ")
    assert "Traceback" not in captured.err
    return lines[-1]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [QualityRow(subnet, 1000 + i, 1e6 + i, 3 + i / 100, 0.1) for i, subnet in enumerate(SearchSpace())]
    QualityTable(QualityHeader("shared", 60, 1.0, False, "global"), rows).save(tmp_path / "quality.csv")
    return tmp_path / "quality.csv"


def test_without_a_command_the_overview_names_them_all(capsys):
    assert main([]) == 0
    assert all(f"\n  {name}" in capsys.readouterr().out for name in ["quickstart"])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as leaving:
        main([name, "--help"])
    assert leaving.value.code == 0
    assert "usage: ofa-avse" in capsys.readouterr().out


def test_query_answers_from_a_table(table, capsys):
    assert main(["query", "--table", str(table), "--max_params", "1100"]) == 0
    assert "SI-SNRi" in capsys.readouterr().out


def test_an_unknown_command_is_named(capsys):
    assert "trian" in refused(capsys, "trian")


def test_an_unknown_key_is_named(capsys):
    assert "--supernet.stpes" in refused(capsys, "train", "--supernet.stpes", 3)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("supernet: {stpes: 3}", "supernet.stpes"),
        ("stpes: 3", "stpes"),
        ("search: {ppo: {clop: 3}}", "search.ppo.clop"),
        ("supernet: 3", "supernet: must be a group"),
        ("just words", "holds no settings"),
        ("", "holds no settings"),
    ],
)
def test_what_a_file_has_that_is_no_setting_is_named(content, named, tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(content)
    line = refused(capsys, "train", "--config", tmp_path / "a.yaml")
    assert "a.yaml" in line and named in line


@pytest.mark.parametrize(
    ("key", "value"),
    [("supernet.steps", "many"), ("network.width", "thin"), ("data.corpus", "lrs9"), ("network.causal", "perhaps")],
)
def test_a_value_of_the_wrong_type_is_named(key, value, capsys):
    assert key in refused(capsys, "train", f"--{key}", value)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("network.width", "0.3", "width"),
        ("supernet.steps", "0", "steps"),
        ("data.snr_min", "9", "data.snr_min"),
        ("data.list_seconds", "0.05", "data.list_seconds"),
        ("search.episodes", "0", "search.episodes"),
        ("data.workers", "0", "data.workers"),
        ("data.list_seconds", ".nan", "data.list_seconds"),
        ("finetune.steps", "51", "finetune.steps"),
        ("scoring.threads", "0", "scoring.threads"),
        ("threads", "-1", "threads"),
    ],
)
def test_a_value_out_of_range_is_named(key, value, named, capsys, tmp_path):
    assert named in refused(capsys, "train", "--run", tmp_path, f"--{key}", value)


def test_a_missing_configuration_lists_the_shipped_ones(capsys):
    line = refused(capsys, "train", "--config", "gird")
    assert "gird" in line
    assert "grid" in line


def test_a_configuration_that_is_no_yaml_is_named(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("supernet: [\n")
    assert "a.yaml" in refused(capsys, "train", "--config", tmp_path / "a.yaml")


HARM = {
    "nested deep": "run: " + "[" * 20_000 + "]" * 20_000,
    "nested deep in blocks": "".join(" " * depth + "a:\n" for depth in range(2_000)),
    "a code that is run": "run: !!python/object/apply:os.system ['true']",
    "multiplied": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "no text": "\0\1\2",
}


@pytest.mark.parametrize("text", HARM.values(), ids=HARM)
def test_a_configuration_that_is_made_to_harm_is_named(text, tmp_path, capsys):
    (tmp_path / "bad.yaml").write_text(text)
    began = time.monotonic()
    assert "bad.yaml" in refused(capsys, "train", "--config", tmp_path / "bad.yaml", "--run", tmp_path / "run")
    assert time.monotonic() - began < 5


def test_shipped_configurations_are_found_by_name():
    shipped = sorted(entry.name for entry in resources.files("configs").iterdir() if entry.name.endswith(".yaml"))
    assert len(shipped) > 10
    assert [find_config(name.removesuffix(".yaml")).name for name in shipped] == shipped
    assert all(find_config(name.removesuffix(".yaml")).is_file() for name in shipped)


@pytest.mark.parametrize("command", ["score", "search", "extract", "retrain", "evaluate", "report"])
def test_a_stage_before_its_turn_says_what_is_missing(command, tmp_path, capsys):
    options = ["--output", tmp_path / "x.safetensors"] if command == "extract" else []
    assert str(tmp_path) in refused(capsys, command, "--run", tmp_path / "run", *options)
    assert not (tmp_path / "run" / "corpus").exists()  # and says it at once


def test_a_subnet_outside_the_space_is_named(tmp_path, capsys):
    line = refused(capsys, "retrain", "--run", tmp_path, "--subnet", "E128-B256-X6-R3-H2.0-V128")
    assert "bottleneck 256 must not exceed encoder 128" in line


@pytest.mark.parametrize("key", ["root", "speech", "noise"])
def test_a_missing_folder_of_recordings_is_named(key, tmp_path, capsys):
    for name, file in (("root", "s1/video/bbaf2n.mpg"), ("speech", "p1/p1_001.wav"), ("noise", "rain/rain.wav")):
        (tmp_path / name / file).parent.mkdir(parents=True)
        (tmp_path / name / file).touch()
    options = [part for name in ("root", "speech", "noise") for part in (f"--data.{name}", tmp_path / name)]
    options[options.index(f"--data.{key}") + 1] = tmp_path / "nowhere"
    line = refused(capsys, "data", "--config", "grid", "--run", tmp_path / "run", *options)
    assert f"--data.{key}: no such folder: {tmp_path / 'nowhere'}; correct the path" in line


def test_extract_cuts_a_named_subnet_out_of_a_supernet(tmp_path, capsys):
    save(AVConvTasNet(SearchSpace.largest, 1 / 32), tmp_path / "supernet.safetensors")
    name, output = str(SearchSpace.smallest), tmp_path / "small.safetensors"
    arguments = ["extract", "--model", tmp_path / "supernet.safetensors", "--subnet", name, "--output", output]
    assert main([str(argument) for argument in arguments]) == 0
    assert load(output).subnet == SearchSpace.smallest
    assert name in capsys.readouterr().out
    assert read_notes(output)["weights"] == f"inherited from {SearchSpace.largest}"


def test_extract_stores_a_network_as_it_is_in_half_the_space(tmp_path, capsys):
    network = AVConvTasNet(SearchSpace.smallest, 1 / 32)
    save(network, tmp_path / "whole.safetensors", lip_region="face_track")
    arguments = ["extract", "--model", tmp_path / "whole.safetensors", "--subnet", str(SearchSpace.smallest)]
    output = tmp_path / "half.safetensors"
    assert main([str(argument) for argument in [*arguments, "--output", output, "--precision", "bf16"]]) == 0
    assert "as they were" in capsys.readouterr().out
    assert read_notes(output) == {"lip_region": "face_track"}
    for name, weight in load(output).state_dict().items():
        assert torch.equal(weight, network.state_dict()[name].bfloat16().float())


@pytest.mark.parametrize(
    "command", ["enhance noisy.wav", "evaluate --run {}", "profile --subnet smallest --width 0.125"]
)
def test_a_gpu_that_is_not_there_is_refused(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = refused(capsys, *command.format(tmp_path).split(), "--device", "cuda")
    assert "device: PyTorch finds no cuda GPU here; choose cpu or auto" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_enhance_says_where_it_works(device, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    soundfile.write(tmp_path / "noisy.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 8_000), 16_000)
    assert main(["enhance", str(tmp_path / "noisy.wav"), "--device", device]) == 0
    assert "noisy.wav: without lips, on the CPU" in capsys.readouterr().err


def test_enhance_without_a_model_uses_the_shipped_one(tmp_path):
    soundfile.write(tmp_path / "noisy.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 8_000), 16_000)
    assert main(["enhance", str(tmp_path / "noisy.wav")]) == 0
    enhanced, _ = soundfile.read(tmp_path / "noisy.enhanced.wav")
    assert 0 < np.square(enhanced).mean() < np.square(0.1) / 3  # less than the noise that went in


def test_enhance_needs_the_landmark_file_of_a_model_that_was_trained_with_it(tmp_path, capsys):
    save(AVConvTasNet(SearchSpace.smallest, 1 / 32), tmp_path / "model.safetensors", lip_region="landmarks")
    soundfile.write(tmp_path / "talk.wav", np.zeros(8_000), 16_000)
    arguments = ["enhance", tmp_path / "talk.wav", "--model", tmp_path / "model.safetensors"]
    line = refused(capsys, *arguments, "--lips", tmp_path / "talk.mp4")
    assert "landmark_model" in line and "lip_region" in line
    assert main([str(argument) for argument in arguments]) == 0  # nothing to find


def test_profile_reports_costs_of_this_machine(capsys):
    assert main(["profile", "--width", "0.03125", "--subnet", "smallest", "--seconds", "0.4"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("parameters", "MACs", "RTF", "memory"))


@pytest.mark.parametrize("seconds", ["0", "-1"])
def test_profile_measures_no_clip_without_length(seconds, capsys):
    assert "seconds: must be above 0" in refused(capsys, "profile", "--width", "0.03125", "--seconds", seconds)


def test_two_processes_do_not_share_a_run(tmp_path, capsys):
    from controller.run.config import Settings
    from controller.run.run import Run

    with Run(Settings(run=str(tmp_path))).working():
        assert "in use" in refused(capsys, "train", "--run", tmp_path)


@pytest.mark.parametrize("place", ["/dev/null", "/dev/null/run"])
def test_a_folder_that_cannot_be_made_is_named(place, capsys):
    assert "/dev/null" in refused(capsys, "data", "--config", "smoke", "--run", place)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"candidates": [3]}'])
def test_a_damaged_search_is_named(content, tmp_path, capsys):
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "search.json").write_text(content)
    assert "search.json" in refused(capsys, "retrain", "--run", tmp_path)


def test_weights_that_are_not_finite_are_refused(tmp_path, capsys):
    network = AVConvTasNet(SearchSpace.smallest, 1 / 32)
    network.decoder.weight.data[0, 0] = float("nan")
    save(network, tmp_path / "nan.safetensors")
    assert "nan.safetensors" in refused(capsys, "profile", "--model", tmp_path / "nan.safetensors")


def test_lips_of_a_test_are_chosen_by_name_and_added_to_what_is_known(small_corpus, tmp_path, capsys):
    save(AVConvTasNet(SearchSpace.smallest, 1 / 32), tmp_path / "model.safetensors")
    options = ["--run", tmp_path / "run", "--corpus", small_corpus.folder, "--model", tmp_path / "model.safetensors"]
    command = [str(part) for part in ("evaluate", "--config", "smoke", *options, "--perceptual", "false")]
    assert main([*command, "--lips", "[true,none]"]) == 0
    kept = next(tmp_path.glob("evaluation_test_*.json"))
    known = kept.read_text()
    assert "frozen lips" not in capsys.readouterr().out
    assert main([*command, "--lips", "[none,frozen,delayed]"]) == 0
    out = capsys.readouterr().out
    assert "frozen lips" in out and "delayed lips" in out and "no lips" in out and "true lips" not in out
    assert all(line in kept.read_text() for line in known.splitlines()[:-2]) and '"true"' in kept.read_text()
    assert "blurred" in refused(capsys, *command, "--lips", "[blurred]")
    assert "lips" in refused(capsys, *command, "--lips", "[]")


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ofa-avse {supernet.__version__}\n"
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'version = "{supernet.__version__}"' in text
