"""A corpus of real recordings is built once, goes on after a stop, and answers bad input with its reason."""

import dataclasses
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from supernet.data.build import build
from supernet.data.corpus import Corpus
from supernet.data.mixing.batches import FixedMixtures, TrainingMixtures
from supernet.data.recordings import preparing
from supernet.data.recordings.readers import folders
from supernet.data.settings import DataSettings
from supernet.errors import UserError


@pytest.fixture(scope="module")
def built(real_settings, tmp_path_factory):
    return build(real_settings, tmp_path_factory.mktemp("corpus"))


def test_recordings_become_clips_and_lists(built, real_settings):
    assert Counter(clip.role for clip in built.clips) == {"talker": 15, "speech": 24, "noise": 12}
    for name in ("val", "test", "test_other"):
        assert len(FixedMixtures(built, name)) == 10
        FixedMixtures(built, name).batch(range(10), "other")
    TrainingMixtures(built, real_settings, 5, 0.8, 0.2, 0).batch(0)


def test_lists_test_the_test_speaker_and_the_speakers_held_out(built):
    training = {clip.speaker for clip in built.select("talker", "train")}
    for name in ("val", "test", "test_other"):
        targets = {built.clip(spec.target).speaker for spec in FixedMixtures(built, name).specs}
        assert targets.isdisjoint(training) if name == "test_other" else targets == {"s1"}


def test_bad_files_are_listed_with_their_reason(built):
    table = (built.folder / "rejected.tsv").read_text()
    reasons = {"corrupt.mp4": "cannot be read", "faceless.mp4": "no face found", "silent.wav": "is silent"}
    for name, reason in reasons.items():
        assert any(name in row and reason in row for row in table.splitlines())
    assert len(table.splitlines()) == 4


def test_a_second_call_changes_nothing(built, real_settings):
    times = {path: path.stat().st_mtime_ns for path in built.folder.rglob("*")}
    again = build(dataclasses.replace(real_settings, workers=1), built.folder)
    assert again.clips == built.clips and again.hash == built.hash
    assert times == {path: path.stat().st_mtime_ns for path in built.folder.rglob("*")}


def test_a_stopped_build_goes_on_and_ends_the_same(built, real_settings, tmp_path):
    folder = tmp_path / "corpus"
    shutil.copytree(built.folder, folder)
    (folder / "manifest.jsonl").unlink()
    lost = sorted((folder / "audio").iterdir())[::6]
    for path in lost:
        path.unlink()
    kept = next((folder / "audio").iterdir())
    before = kept.stat().st_mtime_ns
    again = build(real_settings, folder)
    assert again.hash == built.hash and kept.stat().st_mtime_ns == before
    for path in lost:
        assert path.read_bytes() == (built.folder / "audio" / path.name).read_bytes()


def test_other_settings_need_another_folder(built, real_settings):
    with pytest.raises(UserError, match="other settings \\(data.snr_min\\); use another folder or delete it"):
        build(dataclasses.replace(real_settings, snr_min=-3.0), built.folder)


def test_lips_found_otherwise_need_another_folder(built, real_settings, tmp_path):
    with pytest.raises(UserError, match="other settings \\(data.lip_region\\)"):
        build(dataclasses.replace(real_settings, lip_region="face_track"), built.folder)
    shutil.copytree(built.folder, tmp_path / "old")
    old = json.loads((tmp_path / "old/settings.json").read_text())
    del old["lip_region"], old["landmark_model"], old["lip_finder"]  # as before there were rules
    (tmp_path / "old/settings.json").write_text(json.dumps(old))
    with pytest.raises(UserError, match="other settings \\(data.lip_finder, data.lip_region\\)"):
        build(real_settings, tmp_path / "old")


def test_settings_of_the_other_kind_of_corpus_do_not_matter(built, real_settings):
    changed = dataclasses.replace(real_settings, synthetic=dataclasses.replace(real_settings.synthetic, seed=99))
    assert build(changed, built.folder).hash == built.hash


def test_a_folder_may_be_written_in_another_way(built, real_settings, monkeypatch):
    root = Path(real_settings.root)
    monkeypatch.chdir(root.parent)
    for other in (f"{root}/", root.name, f"../{root.parent.name}/{root.name}"):
        assert build(dataclasses.replace(real_settings, root=other), built.folder).hash == built.hash


def test_missing_and_empty_folders_name_their_key(real_settings, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for field in ("root", "speech", "noise"):
        cases = {None: "not given", "": "not given", str(tmp_path / "gone"): "no such folder", str(empty): "holds no"}
        for value, reason in cases.items():
            with pytest.raises(UserError, match=f"--data.{field}: .*{reason}"):
                build(dataclasses.replace(real_settings, **{field: value}), tmp_path / "corpus")


def test_a_mended_key_may_use_the_same_folder(real_settings, tmp_path):
    with pytest.raises(UserError, match="--data.test_speaker: 's9' has 0 clips"):
        build(dataclasses.replace(real_settings, test_speaker="s9"), tmp_path)
    with pytest.raises(UserError, match="--data.test_speaker: 's1' has 9 clips, and 9 are kept"):
        build(dataclasses.replace(real_settings, test_clips=6), tmp_path)


def test_an_unfinished_corpus_goes_on_with_other_splits_but_not_with_other_recordings(built, real_settings, tmp_path):
    """As after a refusal for too few usable clips, which comes when all have been converted."""
    folder = tmp_path / "corpus"
    shutil.copytree(built.folder, folder)
    (folder / "manifest.jsonl").unlink()
    with pytest.raises(UserError, match="other settings \\(data.speech\\)"):
        build(dataclasses.replace(real_settings, speech=real_settings.noise), folder)
    kept = next((folder / "audio").iterdir())
    before = kept.stat().st_mtime_ns
    fewer = dataclasses.replace(real_settings, test_clips=2, held_out_speakers=0)
    again = build(fewer, folder)
    assert kept.stat().st_mtime_ns == before
    assert sorted(path.stem for path in (folder / "lists").iterdir()) == ["test", "val"]
    assert build(fewer, folder).hash == again.hash
    with pytest.raises(UserError, match="data.test_clips"):
        build(real_settings, folder)


@pytest.mark.parametrize("damage", [None, "", "{}"])
def test_a_missing_or_damaged_further_corpus_is_refused_before_anything_is_made(real_settings, tmp_path, damage):
    other = tmp_path / "other"
    if damage is not None:
        other.mkdir()
        (other / "manifest.jsonl").write_text(damage)
    with pytest.raises(UserError, match="data.also: .*other/manifest.jsonl"):
        build(dataclasses.replace(real_settings, also=[str(other)]), tmp_path / "corpus")
    assert not (tmp_path / "corpus" / "audio").exists()


def test_damaged_notes_of_a_corpus_are_one_error(built, real_settings, tmp_path):
    folder = tmp_path / "corpus"
    shutil.copytree(built.folder, folder)
    for content in ("[]", "{"):
        (folder / "settings.json").write_text(content)
        with pytest.raises(UserError, match="settings.json: damaged"):
            build(real_settings, folder)


def test_bad_values_name_their_key():
    with pytest.raises(UserError, match="data.snr_min: 6 dB exceeds"):
        DataSettings(snr_min=6.0)
    with pytest.raises(UserError, match="data.list_seconds: 1.01 s must be"):
        DataSettings(list_seconds=1.01)
    with pytest.raises(UserError, match="data.val_items: must be at least 1"):
        DataSettings(val_items=-1)


DATA = os.environ.get("OFA_AVSE_DATA")


@pytest.mark.skipif(not DATA, reason="set OFA_AVSE_DATA to a folder that holds grid/, speech/ and noise/")
def test_real_recordings_of_four_grid_speakers(tmp_path):
    for speaker in ("gB", "gF", "s2", "s16"):
        shutil.copytree(Path(DATA) / "grid" / speaker, tmp_path / "grid" / speaker)
    places = dict(root=str(tmp_path / "grid"), speech=f"{DATA}/speech", noise=f"{DATA}/noise")
    settings = DataSettings(
        corpus="grid", **places, test_speaker="gB", test_clips=3, val_clips=3, held_out_speakers=1, test_items=15
    )
    corpus = build(settings, tmp_path / "corpus")
    assert Corpus.open(corpus.folder).hash == corpus.hash
    assert all(clip.frames in (74, 75) for clip in corpus.select("talker"))
    batch = FixedMixtures(corpus, "test").batch(range(15))
    assert batch.lips.shape == (15, 50, 88, 88) and batch.lips.float().std() > 5


def test_what_the_corpus_could_not_hold_is_listed(tmp_path, write_video):
    videos, noise = tmp_path / "videos", tmp_path / "noise"
    for folder in (videos / "a", videos / "a-b", noise):
        folder.mkdir(parents=True)
    wave = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000)
    for path in (videos / "a/b-0.mp4", videos / "a-b/0.mp4"):  # both would be talker-a-b-0
        write_video(path, sound=wave, draw=lambda index: np.full((64, 64), 4 * index, np.uint8))
    wavfile.write(noise / "faint.wav", 16_000, (1e-5 * wave).astype(np.float32))
    (noise / ("x" * 120)).mkdir()
    wavfile.write(noise / ("x" * 120) / f"{'y' * 120}.wav", 16_000, wave.astype(np.float32))
    found = folders.read(videos, "--data.root") + folders.read_noise(noise, "--data.noise")
    clips, rejected = preparing.convert(found, tmp_path / "corpus", DataSettings(lip_region="face_track", workers=1))
    assert [clip.id for clip in clips] == ["talker-a-b-0"]
    reasons = {path.name: reason for path, reason in rejected}
    assert f"would be called 'talker-a-b-0', as {found[0].sound} is; rename" in reasons[found[1].sound.name]
    assert "too faint for 16 bits" in reasons["faint.wav"]
    assert "too long a name" in reasons[f"{'y' * 120}.wav"]
