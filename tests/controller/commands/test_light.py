"""What a light install does: enhance, query, profile and the like, without PyTorch and all that comes with it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from supernet.models import SMALL
from tests.supernet.media.making import put, speech, wav

ROOT = Path(__file__).parents[3]
WITHOUT = """
import sys
HEAVY = "torch torchaudio scipy lightning_fabric matplotlib plotly wandb gymnasium onnx jinja2 einops PIL".split()
class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuses())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in HEAVY else found(name, package)
from controller.cli import main
sys.exit(main(sys.argv[1:]))
"""
EXPORTED = str(SMALL.with_suffix(".onnx"))
TABLE = str(ROOT / "eval" / "table" / "files" / "shared_val.csv")


def light(*arguments: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", WITHOUT, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


def test_enhance(tmp_path):
    done = light("enhance", put(tmp_path / "a.wav", wav(speech(2))))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.enhanced.wav").is_file() and "on the CPU by onnxruntime" in done.stderr


def test_enhance_a_video(tmp_path):
    faces = ROOT.parent / "shared" / "data" / "grid" / "s1"
    if not faces.is_dir():
        pytest.skip("no real faces here")
    done = light("enhance", next(faces.glob("*.mp4")), "--output", tmp_path / "a.wav")
    assert done.returncode == 0 and "with the lips of" in done.stderr, done.stderr
    assert (tmp_path / "a.wav").is_file()


def test_query_and_profile_as_json():
    answer = json.loads(light("query", "--table", TABLE, "--max_params", "60k", "--json").stdout)
    assert answer["best"]["params"] <= 60e3 and answer["budgets"] == {"params": 60e3}
    found = json.loads(light("profile", "--model", EXPORTED, "--seconds", "0.4", "--json").stdout)
    assert found["parameters"] == 199_739 and found["macs_without_lips"] < found["macs"]
    assert {"onnxruntime"} <= {cost["runtime"] for cost in found["runtimes"]}
    assert all(cost["latency_ms"] > 0 for cost in found["runtimes"])


@pytest.mark.parametrize("options", [["--help"], ["--version"], ["export", "--help"], ["enhance", "--help"]])
def test_help_and_version(options):
    done = light(*options)
    assert done.returncode == 0 and done.stdout, done.stderr


def test_the_page_of_a_run(tmp_path):
    put(tmp_path / "report.html", b"<p>found</p>")
    done = light("report", "--run", tmp_path, "--open", env={"BROWSER": "true %s", "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0 and "report.html" in done.stdout, done.stderr
    assert "no such page" in light("report", "--open", "--run", tmp_path / "none").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--config", "smoke"],
        ["score"],
        ["report"],
        ["data", "index", "--data.root", "."],
        ["export", "--model", str(SMALL)],
        ["profile"],
        ["enhance", "a.wav", "--runtime", "torch"],
        ["tables"],
        ["benchmark"],
    ],
    ids=" ".join,
)
def test_other_commands_say_what_to_install(arguments):
    done = light(*arguments)
    assert done.returncode == 2, done.stderr
    assert "pip install ofa-avse" in done.stderr and "Traceback" not in done.stderr
