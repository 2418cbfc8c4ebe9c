"""A packed corpus is the corpus: the same sounds, lips and batches bit for bit, in tar files that any reader of
WebDataset's convention understands."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import tarfile

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from supernet.data import shards
from supernet.data.build import build
from supernet.data.corpus import Corpus
from supernet.data.mixing.batches import FixedMixtures, TrainingMixtures
from supernet.data.settings import DataSettings
from supernet.data.shards import pack
from supernet.errors import UserError
from supernet.training import batches
from tests.conftest import SMALL

SHARD_MB = 1.2  # a talker's clip of two seconds has 0.5 MB


@pytest.fixture(scope="module")
def packed(real_corpus, tmp_path_factory):
    return pack(real_corpus, tmp_path_factory.mktemp("packed"), SHARD_MB)


def training(corpus, **changes):
    settings = DataSettings(corpus="grid", **changes)
    return TrainingMixtures(corpus, settings, batch_size=10, clip_seconds=1.0, lip_dropout=0.3, seed=3)


def same(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("mixture", "clean", "lips", "lips_present"))


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_sounds_lips_and_levels_are_the_same_bit_for_bit(real_corpus, packed):
    assert packed.clips == real_corpus.clips and packed.hash == real_corpus.hash
    assert not list(packed.folder.rglob("*.wav"))
    for clip in real_corpus.clips:
        assert np.array_equal(packed.audio(clip), real_corpus.audio(clip))
        assert np.array_equal(packed.audio(clip, 700, 33), real_corpus.audio(clip, 700, 33))
        assert packed.level(clip) == real_corpus.level(clip)
        if clip.lips:
            lips = packed.lips(clip, 3, 9)
            assert np.array_equal(lips, real_corpus.lips(clip, 3, 9)) and not lips.flags.writeable


@pytest.mark.parametrize("loaders", [0, 1])
def test_training_batches_are_the_same(real_corpus, packed, loaders):
    mixtures = training(packed, loaders=loaders)
    assert mixtures.identity == training(real_corpus).identity
    for step, batch in enumerate(batches(mixtures, 5, 8, "cpu"), start=5):
        assert same(batch, training(real_corpus).batch(step))


def test_a_packed_corpus_can_join_another(real_corpus, synthetic_corpus, packed, tmp_path):
    small = pack(synthetic_corpus, tmp_path, SHARD_MB)
    expected = training(real_corpus, also=[str(synthetic_corpus.folder)])
    for main, other in ((packed, small), (packed, synthetic_corpus), (real_corpus, small)):
        joined = training(main, also=[str(other.folder)])
        assert all(same(joined.batch(step), expected.batch(step)) for step in range(3))


def test_shards_are_in_the_convention_of_webdataset(real_corpus, packed):
    samples = {}
    for shard in sorted(packed.folder.glob("shards/*.tar")):
        with tarfile.open(shard) as tar:
            keys = []
            for entry in tar:
                key, suffix = entry.name.split(".", 1)
                samples.setdefault(key, {})[suffix] = tar.extractfile(entry).read()
                keys += [key] if key not in keys[-1:] else []
                assert json.loads(samples[key].get("json", b'{"split": ""}'))["split"] in ("", shard.name.split("-")[0])
            assert len(set(keys)) == len(keys)  # the members of a sample are neighbours
    assert set(samples) == {clip.id for clip in real_corpus.clips}
    for clip in real_corpus.clips:
        sample = samples[clip.id]
        assert json.loads(sample["json"]) == dataclasses.asdict(clip)
        rate, wave = wavfile.read(io.BytesIO(sample["wav"]))
        assert rate == 16_000 and np.array_equal(wave / np.float32(32768), real_corpus.audio(clip))
        assert set(sample) == ({"wav", "npy", "json"} if clip.lips else {"wav", "json"})
        if clip.lips:
            assert np.array_equal(np.load(io.BytesIO(sample["npy"])), real_corpus.lips(clip))


def test_shards_have_about_the_size_asked_for(packed):
    sizes = [path.stat().st_size for path in packed.folder.glob("shards/train-*.tar")]
    assert len(sizes) > 2 and max(sizes) < (SHARD_MB + 0.7) * 1e6 and sorted(sizes)[1] > SHARD_MB * 1e6


def test_dots_and_long_names_survive(real_corpus, tmp_path):
    shutil.copytree(real_corpus.folder, tmp_path / "corpus")
    clip = real_corpus.select("talker")[0]
    name = "v1.2%" + "x" * 150
    renamed = dataclasses.replace(clip, id=name, audio=f"audio/{name}.wav", lips=f"lips/{name}.npy")
    for old, new in ((clip.audio, renamed.audio), (clip.lips, renamed.lips)):
        (tmp_path / "corpus" / old).rename(tmp_path / "corpus" / new)
    packed = pack(Corpus.write(tmp_path / "corpus", [renamed]), tmp_path / "packed", SHARD_MB)
    assert np.array_equal(packed.lips(renamed), real_corpus.lips(clip))
    with tarfile.open(packed.folder / "shards/train-00000.tar") as tar:
        assert [member.split(".", 1)[1] for member in tar.getnames()] == ["wav", "npy", "json"]


def test_a_killed_packing_goes_on_and_ends_the_same(real_corpus, packed, tmp_path, monkeypatch):
    write = shards._write

    def killed(path, **what):
        write(path, **what)
        if "00001" in path.name:
            raise KeyboardInterrupt

    monkeypatch.setattr(shards, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        pack(real_corpus, tmp_path, SHARD_MB)
    monkeypatch.undo()
    assert not (tmp_path / "manifest.jsonl").exists()
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["train-00000.tar"]
    before = (tmp_path / "shards/train-00000.tar").stat().st_mtime_ns
    pack(real_corpus, tmp_path, SHARD_MB)
    assert snapshot(tmp_path) == snapshot(packed.folder)
    assert (tmp_path / "shards/train-00000.tar").stat().st_mtime_ns == before


def test_another_size_or_a_changed_clip_is_packed_anew(real_corpus, tmp_path):
    shutil.copytree(real_corpus.folder, tmp_path / "corpus")
    corpus, folder = Corpus.open(tmp_path / "corpus"), tmp_path / "packed"
    pack(corpus, folder, SHARD_MB)
    pack(corpus, folder, 1000)
    assert sorted(path.name for path in folder.glob("shards/*")) == [f"{s}-00000.tar" for s in ("test", "train", "val")]
    clip = corpus.clips[0]
    path = corpus.folder / clip.audio
    rate, wave = wavfile.read(path)
    wavfile.write(path, rate, wave[::-1])
    os.utime(folder / "shards/train-00000.tar", (1, 1))  # older than the change, whatever the clock's grain
    again = pack(corpus, folder, 1000)
    assert np.array_equal(again.audio(clip) * 32768, wave[::-1])


def test_a_shard_cut_short_is_named(packed, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(packed.folder, folder)
    os.truncate(folder / "shards/val-00000.tar", 100_000)
    corpus = Corpus.open(folder)
    with pytest.raises(UserError, match="val-00000.tar: is cut short"):
        corpus.lips(corpus.select("talker", "val")[0])


def test_what_cannot_be_packed_changes_nothing(real_corpus, synthetic_corpus, packed):
    with pytest.raises(UserError, match="holds a corpus that is not packed"):
        pack(real_corpus, synthetic_corpus.folder, SHARD_MB)
    with pytest.raises(UserError, match="is packed already"):
        pack(packed, packed.folder, SHARD_MB)
    with pytest.raises(UserError, match="shard_mb: must be positive"):
        pack(real_corpus, packed.folder, 0)


def test_a_packed_corpus_is_opened_by_its_settings_only(small_corpus, tmp_path):
    settings = DataSettings(synthetic=SMALL, list_seconds=0.4, val_items=10, test_items=10)
    packed = pack(small_corpus, tmp_path, SHARD_MB)
    assert build(settings, packed.folder).hash == small_corpus.hash
    batch, expected = (FixedMixtures(corpus, "test").batch(range(10)) for corpus in (packed, small_corpus))
    assert same(batch, expected)
    with pytest.raises(UserError, match="other settings \\(data.snr_min\\)"):
        build(dataclasses.replace(settings, snr_min=-3.0), packed.folder)


def test_nothing_of_others_is_replaced_and_a_corpus_does_not_hold_its_shards(synthetic_corpus, tmp_path):
    theirs = tmp_path / "shards/images.tar"
    theirs.parent.mkdir()
    theirs.touch()
    with pytest.raises(UserError, match="holds other files; name an empty folder"):
        pack(synthetic_corpus, tmp_path, SHARD_MB)
    with pytest.raises(UserError, match="lies within the corpus"):
        pack(synthetic_corpus, synthetic_corpus.folder / "packed", SHARD_MB)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [theirs]
    assert not (synthetic_corpus.folder / "packed").exists()
