"""Whatever file of a finished run is damaged: each command that reads it gives the same result, or one line that names
the file and exit code 2; never another result.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from controller.cli import main

READERS = {  # the commands that read a file; FRESH are those that must not find an evaluation
    "quality.csv": ("query", "score", "search"),
    "quality.clips.safetensors": ("query", "score"),
    "quality.csv.partial": ("score",),
    "supernet/weights.safetensors": ("train", "extract", "search"),
    "supernet/checkpoint.safetensors": ("train",),
    "search/ledger.sqlite": ("search",),
    "search/search.json": ("retrain", "extract"),
    "search/ppo.json": ("tables",),
    "retrained/*/weights.safetensors": ("retrain",),
    "retrained/*/checkpoint.safetensors": ("retrain",),
    "retrained/*/validation.json": ("retrain", "tables"),
    "winner.safetensors": ("evaluate", "enhance"),
    "evaluation_*.json": ("evaluate",),
    "stage_seconds.json": ("report",),
    "config.yaml": ("again",),
    "corpus/manifest.jsonl": ("search", "train"),
    "corpus/settings.json": ("search",),
    "corpus/SHA256SUMS": ("search", "fresh"),
    "corpus/lists/val.jsonl": ("search",),
    "corpus/lists/test.jsonl": ("fresh",),
    "corpus/audio/test_*.wav": ("fresh",),
    "corpus/lips/test_*.npy": ("fresh",),
    "corpus/audio/val_*.wav": ("search",),
}
UNREAD = ("report.html", "front.png", ".lock")  # written for people, or held
MOST = 2  # files of a pattern


def commands(run: Path, config: Path) -> dict[str, list[str]]:
    here = ["--config", str(config), "--run", str(run)]
    winner = str(run / "winner.safetensors")
    return {
        "query": ["query", "--table", str(run / "quality.csv"), "--max_params", "15e3"],
        "train": ["train", *here],
        "score": ["score", *here],
        "search": ["search", *here],
        "retrain": ["retrain", *here],
        "extract": ["extract", *here, "--output", str(run / "made.safetensors")],
        "tables": ["tables", *here],
        "evaluate": ["evaluate", *here],
        "fresh": ["evaluate", *here, "--perceptual", "false"],
        "enhance": ["enhance", str(run / "noisy.wav"), "--model", winner, "--output", str(run / "made.wav")],
        "report": ["report", *here],
        "again": ["train", "--config", str(run / "config.yaml"), "--run", str(run)],
    }


def result(command: str, run: Path, config: Path, capsys) -> tuple[int, list, str]:
    """Exit code; what the command printed and made; and what it said."""
    if command == "fresh":
        for path in run.glob("evaluation_*"):
            path.unlink()
    capsys.readouterr()
    code = main(commands(run, config)[command])
    said = capsys.readouterr()
    made = [path.read_bytes() for path in sorted(run.glob("made.*"))]
    winner = (run / "winner.safetensors").read_bytes() if command == "retrain" else b""
    return code, [said.out.replace(str(run), "RUN"), *made, winner], said.err


def damages(content: bytes, rng: np.random.Generator, flips: int) -> Iterator[tuple[str, bytes]]:
    for _ in range(flips):
        place, flipped = int(rng.integers(len(content))), bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        yield f"a bit of byte {place} flipped", bytes(flipped)
    yield "cut", content[: int(rng.integers(1, len(content)))]
    yield "without its last byte", content[:-1]
    yield "empty", b""


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory) -> Path:
    """The finished run, with a sound to enhance."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(run, folder)
    soundfile.write(folder / "noisy.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 8_000), 16_000)
    return folder


@pytest.fixture
def copy(whole, tmp_path) -> Iterator[Path]:
    def fresh() -> Path:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return shutil.copytree(whole, tmp_path / "run")

    return fresh


@pytest.fixture(scope="module")
def expected() -> dict[str, list]:
    """What each command gives on the whole run, found out once."""
    return {}


def check(pattern: str, flips: int, whole: Path, copy, config: Path, expected: dict, capsys) -> None:
    rng = np.random.default_rng(list(pattern.encode()))
    paths = [path for path in sorted(whole.glob(pattern)) if not path.name.endswith("wiener.json")]
    assert paths, pattern
    twins = {path: next((other for other in paths if other != path), None) for path in paths}
    if pattern == "corpus/lists/test.jsonl":
        twins[paths[0]] = whole / "corpus/lists/val.jsonl"
    for command in READERS[pattern]:
        if command not in expected:
            code, expected[command], said = result(command, copy(), config, capsys)
            assert code == 0, said
    for path in paths[:MOST]:
        kinds = list(damages(path.read_bytes(), rng, flips))
        if twin := twins[path]:
            kinds.append((f"swapped with {twin.name}", twin.read_bytes()))
        for kind, content in kinds:
            for command in READERS[pattern]:
                run = copy()
                damaged = run / path.relative_to(whole)
                damaged.write_bytes(content)
                code, found, said = result(command, run, config, capsys)
                what = f"{command}, {path.relative_to(whole)} {kind}: exit {code}, {said[-300:]}"
                if code == 0:
                    assert found == expected[command], what
                    continue
                (line,) = [line for line in said.replace("\r", "\n").splitlines() if line.startswith("ofa-avse: ")]
                named = (path.name, path.parent.name if path.name == "settings.json" else path.name)
                assert code == 2 and any(name in line for name in named) and "Traceback" not in said, what


@pytest.mark.parametrize("pattern", READERS)
def test_a_damaged_file_gives_the_same_result_or_one_line(pattern, whole, copy, config, expected, capsys):
    check(pattern, 2, whole, copy, config, expected, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", READERS)
def test_many_bits_of_each_file_do(pattern, whole, copy, config, expected, capsys):
    check(pattern, 25, whole, copy, config, expected, capsys)


def test_no_file_of_a_run_is_left_out(whole):
    known = {path for pattern in READERS for path in whole.glob(pattern)}
    alike = {(path.parent, path.suffix) for path in known if path.parent.name in ("audio", "lips")}
    left = [
        path.name
        for path in whole.rglob("*")
        if path.is_file() and path not in known and (path.parent, path.suffix) not in alike
    ]
    assert set(left) <= {*UNREAD, "noisy.wav"}
