"""What is run where a GPU is, tried on a CPU at a tiny size."""

import csv
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.on_gpu import training
from benchmarks.on_gpu.rows import Rows
from controller.cli import main
from eval.table.quality_table import QualityTable
from supernet import load
from supernet.space import SearchSpace

DATA = """
data:
  list_seconds: 0.4
  val_items: 5
  test_items: 10
  synthetic: {train_clips: 16, val_clips: 5, test_clips: 6, train_voices: 4, val_voices: 3, test_voices: 3,
              clip_seconds: 1.0, workers: 1}
"""
TINY = ["--device", "cpu", "--width", "0.03125", "--batches", "2", "--batch_size", "2", "--seconds", "0.4"]
TINY += ["--steps", "1", "--curve_steps", "4", "--matrix", "64", "--loaders", "1", "--backend", "eager"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "data.yaml").write_text(DATA)
    assert main(["data", "--config", str(folder / "data.yaml"), "--run", str(folder)]) == 0
    return folder / "corpus"


@pytest.fixture
def measured(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CLOSING", 1.0)
    threads = torch.get_num_threads()

    def measure(*options: str) -> dict[tuple[str, str], str]:
        given = ["--corpus", str(corpus), "--run", str(tmp_path / "run"), "--out", str(tmp_path / "out")]
        (tmp_path / "out" / "gpu.csv").unlink(missing_ok=True)
        assert gpu.main([*TINY, *given, *options]) == 0
        with (tmp_path / "out" / "gpu.csv").open(newline="") as file:
            return {(row["part"], row["quantity"]): row["value"] or row["note"] for row in csv.DictReader(file)}

    yield measure
    torch.set_num_threads(threads)


def test_each_part_is_measured_and_an_error_is_a_row(measured):
    rows = measured("--minutes", "1", "--parts", "device", "equality", "rate", "steps", "scoring")
    assert {part for part, _ in rows} == {"device", "equality", "rate", "steps", "scoring", "all"}
    assert float(rows["equality", "gradients, cpu against fp64"]) < 1e-5
    assert abs(float(rows["equality", "loss, bf16 - fp32"])) < 0.3
    for kind in ("single", "supernet"):
        assert float(rows["steps", f"{kind}, 2 clips: step"]) > 0
        assert float(rows["steps", f"{kind}, 2 clips: of the matrix rate"]) > 0
    assert not [note for (_, quantity), note in rows.items() if "error" in quantity]


@pytest.mark.slow
def test_a_training_ends_in_time_and_a_later_call_goes_on(measured, tmp_path):
    first = measured("--minutes", "0.4", "--parts", "loader", "scoring", "training", "--train_steps", "9000")
    assert 0 <= float(first["loader", "waited for the batch"]) <= 100
    second = measured("--minutes", "0.2", "--parts", "training", "--train_steps", "9000", "--part_mb", "0.05")
    assert 0 < int(first["training", "steps"]) < int(second["training", "steps"]) < 9000
    table = QualityTable.load(tmp_path / "out" / "quality.csv")
    assert len(table) == 324 and table.by_clip is not None
    joined = "cat weights.safetensors.?? > weights.safetensors && sha256sum --check SHA256SUMS"
    subprocess.run(joined, shell=True, check=True, cwd=tmp_path / "out")
    assert load(tmp_path / "out" / "weights.safetensors").subnet == SearchSpace.largest


@pytest.mark.slow
def test_what_can_not_be_compiled_here_is_a_row(measured):
    rows = measured("--minutes", "1", "--parts", "compiled")
    assert "CUDA graphs need a GPU" in rows["compiled", "single, 2 clips, graph: error"]
    assert float(rows["compiled", "supernet, 2 clips, blocks compiled: step"]) > 0


def test_a_training_for_which_no_time_is_left_is_not_begun(measured, tmp_path):
    rows = measured("--minutes", "0.01", "--parts", "training", "--train_steps", "100")
    assert rows["training", "steps"] == "0"
    assert not (tmp_path / "run" / "supernet").exists()


def test_without_a_plan_the_steps_are_asked_for(measured):
    rows = measured("--minutes", "0.1", "--parts", "training")
    assert "--train_steps: not given" in rows["training", "error"]


def test_a_pack_that_is_none_is_one_line(tmp_path, capsys):
    assert gpu.main([*TINY, "--pack", str(tmp_path), "--run", str(tmp_path / "run")]) == 2
    assert "pack.json: not found" in capsys.readouterr().err


@pytest.mark.parametrize("size", [1, 999, 1000, 2500])
def test_weights_in_parts_are_joined_to_the_same_file(size, tmp_path):
    path, content = tmp_path / "weights.bin", np.random.default_rng(0).bytes(size)
    path.write_bytes(content)
    parts = training.divided(path, 1e-3)
    assert [part.stat().st_size for part in parts[:-1]] == [1000] * (len(parts) - 1)
    assert b"".join(part.read_bytes() for part in parts) == content and not path.exists()


def test_time_that_is_up_is_raised_amid_the_work():
    with pytest.raises(training.TimeIsUp), training.deadline(0.05):
        time.sleep(5)
    with training.deadline(0.05):
        pass
    time.sleep(0.1)  # and never after it


def test_rows_are_kept_by_a_later_call(tmp_path):
    for value in (1.0, 2.0):
        rows = Rows(tmp_path / "gpu.csv")
        with rows.guarded("part"):
            rows.add("part", "quantity", value, "s")
            raise RuntimeError("what happens")
    text = (tmp_path / "gpu.csv").read_text()
    assert text.count("part,quantity,value,unit,note") == 1
    assert "part,quantity,1,s," in text and text.count("RuntimeError: what happens") == 2
