"""`ofa-avse data …` from a folder of recordings to shards: what each command writes, prints and leaves undone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from controller.cli import main
from controller.run.run import held
from supernet.data.corpus import Corpus
from supernet.data.recordings import indexing, preparing
from supernet.data.recordings.indexing import Outcome
from supernet.errors import UserError
from tests.supernet.data.conftest import draw_face, encode_video, voice


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """No worker processes: what they do is tested in tests/supernet/data, and starting them takes seconds."""

    def outcomes(function, tasks, workers, time_limit, description):
        for task in tasks:
            try:
                yield Outcome(function(*task), "")
            except UserError as error:
                yield Outcome(None, str(error))

    for module in (indexing, preparing):
        monkeypatch.setattr(module, "outcomes", outcomes)


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> list[str]:
    root = tmp_path_factory.mktemp("recordings")
    generator = np.random.default_rng(0)
    for folder in ("grid/s1", "grid/s2", "speech", "noise"):
        (root / folder).mkdir(parents=True)
    for speaker, clips in (("s1", 6), ("s2", 2)):
        for n in range(clips):
            encode_video(root / f"grid/{speaker}/{n}.mp4", sound=voice(generator, 16_000), draw=draw_face)
    for n in range(24):
        wavfile.write(root / f"speech/{n}-1-0.wav", 16_000, voice(generator, 16_000).astype(np.float32))
    for kind in ("rain", "dog_bark"):
        for n in range(3):
            wavfile.write(root / f"noise/{kind}_1-{n}{n}-A.wav", 16_000, voice(generator, 16_000).astype(np.float32))
    (root / "grid/s2/broken.mp4").write_text("no video")
    places = [
        f"--data.{key}={root / folder}" for key, folder in (("root", "grid"), ("speech", "speech"), ("noise", "noise"))
    ]
    small = [f"--data.{key}=2" for key in ("test_clips", "val_clips", "val_items", "test_items", "other_items")]
    return ["--config=grid", "--data.list_seconds=0.8", "--data.held_out_speakers=0", *places, *small]


def run(capsys, *arguments: str) -> str:
    assert main(["data", *arguments]) == 0
    return capsys.readouterr().out


def test_each_command_builds_on_the_one_before(options, tmp_path, capsys):
    run_folder = tmp_path / "run"
    where = [*options, f"--run={run_folder}"]
    corpus = run_folder / "corpus"

    printed = run(capsys, "index", *where)
    assert "broken.mp4  cannot be read as sound or video" in printed and "index.jsonl: 39 files" in printed
    assert len((corpus / "index.jsonl").read_text().splitlines()) == 39
    assert not (corpus / "audio").exists()

    assert "38 recordings are prepared, 1 cannot be used" in run(capsys, "prepare", *where)
    assert not (corpus / "manifest.jsonl").exists()
    times = {path: path.stat().st_mtime_ns for path in corpus.glob("*/*.*")}
    assert len(times) == 38 + 8
    assert "38 recordings are prepared" in run(capsys, "prepare", *where)

    assert "8 talking clips of 2 voices" in run(capsys, *where)
    assert times == {path: path.stat().st_mtime_ns for path in times}
    assert (corpus / "lists/test.jsonl").is_file()

    shards = tmp_path / "shards"
    assert f"train with --data.folder {shards}" in run(capsys, "pack", *where, f"--output={shards}", "--shard_mb=1")
    assert Corpus.open(shards).hash == Corpus.open(corpus).hash
    printed = run(capsys, *options, f"--run={tmp_path / 'other'}", f"--data.folder={shards}")
    assert printed.startswith(f"{shards}: 8 talking clips")


def test_the_whole_begins_with_the_index(options, tmp_path, capsys):
    printed = run(capsys, *options, f"--run={tmp_path}")
    assert printed.index("problems") < printed.index("8 talking clips")
    rows = [json.loads(line) for line in (tmp_path / "corpus/index.jsonl").read_text().splitlines()]
    assert [Path(row["file"]).name for row in rows if row["problem"]] == ["broken.mp4"]
    assert "problems" not in run(capsys, *options, f"--run={tmp_path}")  # it is there


def refused(capsys, *arguments: str) -> str:
    assert main(["data", *arguments]) == 2
    return capsys.readouterr().err


def test_bad_input_is_one_line(options, tmp_path, capsys):
    where = f"--run={tmp_path}"
    for command in ("index", "prepare"):
        assert "data.corpus: synthetic talkers are made" in refused(capsys, command, where)
        assert "--data.root: not given" in refused(capsys, command, "--config=grid", where)
    assert "manifest.jsonl: not found" in refused(capsys, "pack", where, f"--output={tmp_path / 'shards'}")


def test_recordings_prepared_for_other_settings_are_not_mixed_in(options, tmp_path, capsys):
    where = [*options, f"--run={tmp_path}"]
    run(capsys, "prepare", *where)
    assert "other settings (data.noise)" in refused(capsys, "prepare", *where, f"--data.noise={tmp_path.parent}")


def test_inspect_draws_a_prepared_corpus(small_corpus, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    options = ["--data.folder", str(small_corpus.folder), "--run", str(tmp_path / "run"), "--clips", "3"]
    assert main(["data", "inspect", *options, "--output", str(sheet)]) == 0
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert f"{sheet}: 3 of 40 talking clips" in capsys.readouterr().out


def test_inspect_says_what_is_wrong(small_corpus, tmp_path, capsys):
    assert main(["data", "inspect", "--run", str(tmp_path / "run")]) == 2
    assert "manifest.jsonl: not found" in capsys.readouterr().err
    options = ["--data.folder", str(small_corpus.folder), "--output", str(tmp_path / "sheet.jpg")]
    assert main(["data", "inspect", *options]) == 2
    assert "--output: " in capsys.readouterr().err


def test_two_runs_do_not_write_one_corpus_at_once(options, tmp_path, capsys):
    where = [*options, f"--run={tmp_path / 'run'}", f"--data.folder={tmp_path / 'corpus'}"]
    with held(tmp_path / "corpus", "data.folder"):
        for command in (["index"], ["prepare"], []):
            assert "corpus is in use by another process" in refused(capsys, *command, *where)
    assert [path.name for path in (tmp_path / "corpus").iterdir()] == [".lock"]


def test_a_packed_corpus_is_not_prepared_again(options, tmp_path, capsys):
    where = [*options, f"--run={tmp_path / 'run'}"]
    run(capsys, *where)
    run(capsys, "pack", *where, f"--output={tmp_path / 'shards'}")
    assert "is packed" in refused(capsys, "prepare", *where, f"--data.folder={tmp_path / 'shards'}")
    assert not (tmp_path / "shards/audio").exists()


def test_a_small_pack_is_carried_to_another_machine(options, tmp_path, capsys):
    where = [*options, f"--run={tmp_path / 'run'}"]
    run(capsys, *where)
    printed = run(capsys, "pack", *where, f"--compact={tmp_path / 'pack'}")
    assert f"{tmp_path / 'pack'}: 0.2 MB, all 38 clips; data hash " in printed
    unpacked = run(capsys, "unpack", f"--pack={tmp_path / 'pack'}", f"--output={tmp_path / 'corpus'}")
    assert printed.split()[-1] in unpacked and f"--config {tmp_path / 'corpus/data.yaml'}" in unpacked
    there = ["--config=model", f"--config={tmp_path / 'corpus/data.yaml'}", f"--run={tmp_path / 'there'}"]
    assert run(capsys, *there, "--data.also=[]").startswith(f"{tmp_path / 'corpus'}: 8 talking clips")


def test_a_pack_that_cannot_be_made_or_read_is_one_line(options, tmp_path, capsys):
    run(capsys, *options, f"--run={tmp_path / 'run'}")
    where = ["pack", *options, f"--run={tmp_path / 'run'}"]
    assert "--output, --compact: give one of the two" in refused(capsys, *where)
    assert "leaves no" in refused(capsys, *where, f"--compact={tmp_path / 'pack'}", "--max_mb=0.02")
    run(capsys, *where, f"--compact={tmp_path / 'pack'}")
    (tmp_path / "pack/clips.jsonl").write_text("{}")
    unpack = ["unpack", f"--pack={tmp_path / 'pack'}", f"--output={tmp_path / 'corpus'}"]
    assert refused(capsys, *unpack) == f"ofa-avse: {tmp_path / 'pack/clips.jsonl'}: damaged (its hash is another); " + (
        "copy the pack again, or pack the corpus again\n"
    )
