"""The index says what files hold by their headers, opens none of them twice, and survives a kill."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.io import wavfile

from supernet.data.recordings import indexing
from supernet.data.recordings.indexing import INDEX, JOURNAL, Outcome, index, lacks, probe, summary
from supernet.data.recordings.readers import Recording, draft
from supernet.errors import UserError


@pytest.fixture
def probed(monkeypatch) -> list[Path]:
    """The files that are opened; in this process, which saves starting others."""
    seen: list[Path] = []

    def outcomes(function, tasks, workers, time_limit, description):
        for task in tasks:
            seen.append(task[0])
            try:
                yield Outcome(function(*task), "")
            except UserError as error:
                yield Outcome(None, str(error))

    monkeypatch.setattr(indexing, "outcomes", outcomes)
    return seen


@pytest.fixture
def files(tmp_path, write_video) -> list[Recording]:
    """A talker in one file, one in two, speech of known splits, and an empty file."""
    root = tmp_path / "files"
    root.mkdir()
    wave = np.random.default_rng(0).uniform(-0.1, 0.1, 24_000)
    write_video(root / "both.mp4", frames=25, sound=wave)
    write_video(root / "silent.mp4", frames=38)
    wavfile.write(root / "sound.wav", 16_000, wave.astype(np.float32))
    soundfile.write(root / "speech.flac", np.stack([wave, wave], axis=1), 44_100)
    (root / "empty.wav").touch()
    both, silent, sound, speech, empty = (
        root / name for name in ("both.mp4", "silent.mp4", "sound.wav", "speech.flac", "empty.wav")
    )
    return [
        Recording(draft("talker", "a", both, "anna"), both, both),
        Recording(draft("talker", "b", sound, "bert"), sound, silent, splits=("val",)),
        Recording(draft("speech", "c", speech, "carl"), speech, splits=("train",)),
        Recording(draft("speech", "d", empty, "dora"), empty, splits=("train",)),
    ]


def test_a_row_says_what_the_headers_say(files, probed, tmp_path):
    rows = {Path(row.file).name: row for row in index(files, tmp_path / "corpus", 1)}
    assert list(rows) == ["both.mp4", "sound.wav", "silent.mp4", "speech.flac", "empty.wav"]
    both, sound, silent, speech, empty = rows.values()
    assert both.tracks.seconds == pytest.approx(1.5, abs=0.01)
    assert both.tracks.picture_seconds == pytest.approx(1.0, abs=0.05)
    assert (both.tracks.width, both.tracks.height, both.tracks.frame_rate) == (64, 48, 25)
    assert (sound.sound, sound.pictures, silent.sound, silent.pictures) == (True, False, False, True)
    assert (speech.tracks.rate, speech.tracks.channels) == (44_100, 2)
    assert (both.split, silent.split, silent.speaker, silent.role) == ("", "val", "bert", "talker")
    assert empty.problem == "is empty (0 bytes); replace the file"
    assert [row.problem for row in (both, sound, silent, speech)] == [""] * 4


def test_the_summary_counts_files_speakers_hours_and_problems(files, probed, tmp_path):
    lines = [line.split() for line in summary(index(files * 60, tmp_path / "corpus", 1)).splitlines()]
    assert lines[0] == ["role", "split", "files", "speakers", "hours", "problems"]
    assert lines[1] == ["speech", "train", "120", "1", f"{24_000 / 44_100 / 60:.2f}", "60"]
    assert lines[2:] == [["talker", "(any)", "60", "1", "0.03", "0"], ["talker", "val", "120", "1", "0.03", "0"]]


def test_only_changed_files_are_opened_again(files, probed, tmp_path):
    first = index(files, tmp_path / "corpus", 1)
    del probed[:]
    assert index(files, tmp_path / "corpus", 1) == first and not probed
    moved, longer = files[0].sound, files[2].sound
    os.utime(moved, ns=(0, 0))
    soundfile.write(longer, np.full(44_100, 0.1), 44_100)
    again = {row.file: row for row in index(files, tmp_path / "corpus", 1)}
    assert probed == [moved, longer] and again[str(longer)].tracks.seconds == 1


def test_a_killed_index_goes_on(files, probed, tmp_path, monkeypatch):
    expected = index(files, tmp_path / "whole", 1)
    del probed[:]
    killed = tmp_path / "killed"
    usual = indexing.outcomes

    def dies(*arguments):
        for number, outcome in enumerate(usual(*arguments)):
            if number == 3:
                raise KeyboardInterrupt
            yield outcome

    monkeypatch.setattr(indexing, "outcomes", dies)
    with pytest.raises(KeyboardInterrupt):
        index(files, killed, 1)
    with (killed / JOURNAL).open("a") as journal:
        journal.write('{"file": "cut in the mid')
    assert not (killed / INDEX).exists()
    monkeypatch.setattr(indexing, "outcomes", usual)
    del probed[:]
    assert index(files, killed, 1) == expected
    assert [path.name for path in probed] == ["speech.flac", "empty.wav"]
    assert (killed / INDEX).read_bytes() == (tmp_path / "whole" / INDEX).read_bytes()
    assert not (killed / JOURNAL).exists()


def test_workers_find_the_same(files, probed, tmp_path, monkeypatch):
    expected = index(files, tmp_path / "a", 1)
    monkeypatch.undo()
    assert index(files, tmp_path / "b", 2) == expected


def test_a_wav_of_unknown_length_is_a_stream_not_a_damaged_file(tmp_path):
    path = tmp_path / "stream.wav"
    wavfile.write(path, 16_000, np.full(16_000, 1000, np.int16))
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4
    path.write_bytes(content)
    assert probe(path, sound=True, pictures=False).seconds == pytest.approx(1)


def test_a_rounded_length_is_kept_and_a_broken_one_is_not():
    assert not lacks(promised=3.0, seconds=2.93)
    assert not lacks(promised=100.0, seconds=98.5)
    assert lacks(promised=3.0, seconds=2.8)
    assert lacks(promised=100.0, seconds=97)
    assert not lacks(promised=0.0, seconds=5)  # no promise


def test_a_change_of_what_is_wanted_is_looked_at_again(files, probed, tmp_path):
    index(files, tmp_path / "corpus", 1)
    del probed[:]
    silent = files[1].video
    rows = index([dataclasses.replace(files[0], sound=silent, video=silent)], tmp_path / "corpus", 1)
    assert probed == [silent] and "has no audio track" in rows[0].problem


def test_a_track_of_an_unknown_format_is_named(tmp_path, write_video):
    path = write_video(tmp_path / "a.mkv")
    path.write_bytes(path.read_bytes().replace(b"V_FFV1", b"V_ABCD"))
    with pytest.raises(UserError, match="a.mkv: its video track is of no known format"):
        probe(path, sound=False, pictures=True)
