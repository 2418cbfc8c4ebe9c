"""Every shipped configuration can be read; without its data it says in one line what is absent."""

import subprocess
import sys
from dataclasses import asdict
from importlib import resources

import pytest
import yaml

from controller.cli import main
from controller.run.config import Settings

SHIPPED = sorted(
    entry.name.removesuffix(".yaml") for entry in resources.files("configs").iterdir() if ".yaml" in entry.name
)
OF_RECORDINGS = ("avsec3", "avsec4", "gpu", "grid", "lrs3_wham", "model", "ntcd_timit", "paper")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_configuration_can_be_read(name, tmp_path, capsys):
    assert main(["report", "--config", name, "--run", str(tmp_path)]) == 2  # nothing is trained there
    error = capsys.readouterr().err
    assert str(tmp_path) in error and "--config" not in error and len(error.splitlines()) == 1


def test_the_list_of_those_that_need_recordings_is_complete():
    files = resources.files("configs")
    synthetic = [name for name in SHIPPED if "corpus: synthetic" in (files / f"{name}.yaml").read_text()]
    assert sorted([*synthetic, *OF_RECORDINGS]) == SHIPPED


@pytest.mark.parametrize("name", OF_RECORDINGS)
def test_absent_data_is_named_in_one_line(name, tmp_path, capsys):
    cases = {None: "--data.root: not given", str(tmp_path / "gone"): f"--data.root: no such folder: {tmp_path}/gone"}
    for root, reason in cases.items():
        options = ["--config", name, "--run", str(tmp_path / "run")] + (["--data.root", root] if root else [])
        assert main(["data", *options]) == 2
        error = capsys.readouterr().err
        assert reason in error and len(error.splitlines()) == 1


def test_the_settings_that_a_run_of_a_former_version_kept_can_be_read(tmp_path, capsys):
    kept = asdict(Settings(run=str(tmp_path)))
    kept["supernet"] |= {"zero_init": False, "distillation_of": "waveform"}
    kept["search"] |= {"masked": True}
    for ppo in (kept["search"]["ppo"], kept["search"]["surrogate"]["ppo"]):
        ppo |= {"network": "lstm", "epsilon_in_ratio": True}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(kept))
    assert main(["report", "--config", str(config)]) == 2
    assert "--config" not in capsys.readouterr().err
    kept["search"]["masked"] = False  # which today's search does not do
    config.write_text(yaml.safe_dump(kept))
    assert main(["report", "--config", str(config)]) == 2
    error = capsys.readouterr().err
    assert "config.yaml" in error and "search.masked" in error and len(error.splitlines()) == 1


def test_settings_are_read_without_the_machinery_of_training():
    """Which takes two seconds to import: every command reads settings, and few train."""
    script = "import sys, controller.run.config; sys.exit('lightning_fabric' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
