"""The comparison of two runs finds a single changed value in whatever file it stands, and lets measured times pass."""

import importlib.util
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

SCRIPT = Path(__file__).parents[2] / "benchmarks/same_bits.py"
TABLE = "# clips: 10\n# rows: 1\nsubnet,params,si_snri,rtf\nE128-B128-X4-R2-H1.5-V128,13147,{},{}\n"


@pytest.fixture(scope="module")
def same_bits():
    spec = importlib.util.spec_from_file_location("same_bits", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weights(path: Path, header: dict) -> None:
    save_file({"encoder.weight": torch.arange(6.0).reshape(2, 3)}, path, {"header": json.dumps(header)})


@pytest.fixture
def runs(tmp_path) -> tuple[Path, Path]:
    """Two run folders with the same content."""
    here, other = tmp_path / "here", tmp_path / "other"
    (here / "search").mkdir(parents=True)
    (here / "corpus").mkdir()
    weights(here / "winner.safetensors", {"kind": "network", "width": 0.0625})
    (here / "quality.csv").write_text(TABLE.format(2.8054, 0.02))
    (here / "quality.csv.partial").write_text('\n{"scores": [2.8, 2.9]}\n')
    (here / "search/search.json").write_text('{"winner": {"si_snri": 3.3, "seconds": 4.5}, "settings": {"seed": 0}}')
    (here / "stage_seconds.json").write_text('{"supernet": 12.5}')
    (here / "corpus/clip.wav").write_bytes(b"RIFF....")
    with sqlite3.connect(here / "search/ledger.sqlite") as ledger:
        ledger.execute("CREATE TABLE evaluations (row INTEGER PRIMARY KEY, key TEXT, identity TEXT, record TEXT)")
        ledger.execute(
            """INSERT INTO evaluations VALUES (1, 'b55', '{"width": 0.0625}', '{"curve": [3.35], "seconds": 8.0}')"""
        )
    shutil.copytree(here, other)
    return here, other


def test_runs_of_the_same_content_do_not_differ(same_bits, runs):
    found, compared = same_bits.differences(*runs)
    assert found == [] and compared > 10


def change_weight(run: Path) -> None:
    tensors = load_file(run / "winner.safetensors")
    tensors["encoder.weight"][1, 2] = torch.nextafter(tensors["encoder.weight"][1, 2], torch.tensor(9.0))
    save_file(tensors, run / "winner.safetensors", {"header": '{"kind": "network", "width": 0.0625}'})


def change_record(run: Path) -> None:
    with sqlite3.connect(run / "search/ledger.sqlite") as ledger:
        ledger.execute("""UPDATE evaluations SET record = '{"curve": [3.36], "seconds": 8.0}'""")


@pytest.mark.parametrize(
    "change, says",
    [
        (change_weight, "winner.safetensors: encoder.weight"),
        (
            lambda run: weights(run / "winner.safetensors", {"kind": "network", "width": 0.125}),
            "header.width: 0.125 here",
        ),
        (lambda run: (run / "quality.csv").write_text(TABLE.format(2.8055, 0.02)), "quality.csv: row 1.si_snri"),
        (lambda run: (run / "quality.csv.partial").write_text('{"scores": [2.8]}\n'), "nothing here, 2.9 in the other"),
        (
            lambda run: (run / "search/search.json").write_text('{"settings": {"seed": 1}}'),
            "search.json: .winner.si_snri",
        ),
        (change_record, "ledger.sqlite: row 1.record.curve[0]: 3.36 here, 3.35"),
        (lambda run: (run / "corpus/clip.wav").write_bytes(b"RIFF...!"), "clip.wav: bytes"),
        (lambda run: (run / "corpus/clip.wav").unlink(), "clip.wav: only in the other"),
    ],
)
def test_one_change_is_found(same_bits, runs, change, says):
    change(runs[0])
    found, _ = same_bits.differences(*runs)
    assert any(says in line for line in found), found


def test_measured_times_and_settings_that_left_are_excepted(same_bits, runs):
    here, _ = runs
    (here / "quality.csv").write_text(TABLE.format(2.8054, 0.03))
    (here / "stage_seconds.json").write_text('{"supernet": 99.0}')
    settings = {"seed": 0, "masked": True}
    (here / "search/search.json").write_text(
        json.dumps({"winner": {"si_snri": 3.3, "seconds": 9.9}, "settings": settings})
    )
    assert same_bits.differences(*runs)[0] == []
    (here / "search/search.json").write_text(
        json.dumps({"winner": {"si_snri": 3.3}, "settings": settings | {"masked": False}})
    )
    assert len(same_bits.differences(*runs)[0]) == 1
