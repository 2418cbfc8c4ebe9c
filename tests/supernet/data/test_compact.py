"""A small pack becomes the same corpus wherever it is unpacked, is never larger than asked for, and no damage to it
goes unseen."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter

import numpy as np
import pytest

from supernet.data import compact, shards
from supernet.data.build import build, noted
from supernet.data.compact import pack, unpack
from supernet.data.corpus import Clip, Corpus
from supernet.data.mixing.batches import FixedMixtures, TrainingMixtures
from supernet.data.settings import DataSettings
from supernet.errors import UserError
from supernet.losses import si_snr
from tests.conftest import SMALL
from tests.supernet.data.conftest import add_clip

SETTINGS = DataSettings(corpus="folders", root="here", list_seconds=1.0, val_items=5, test_items=5)


@pytest.fixture(scope="module")
def corpus(real_corpus, tmp_path_factory) -> Corpus:
    return Corpus.open(shutil.copytree(real_corpus.folder, tmp_path_factory.mktemp("corpus") / "corpus"))


@pytest.fixture(scope="module")
def packed(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "pack"
    return folder, pack(corpus, SETTINGS, folder, 50)


@pytest.fixture(scope="module")
def unpacked(packed, tmp_path_factory) -> Corpus:
    return unpack(packed[0], tmp_path_factory.mktemp("unpacked") / "corpus").corpus


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def size(folder):
    return sum(map(len, snapshot(folder).values()))


def test_the_corpus_that_was_announced_comes_out(corpus, packed, unpacked):
    folder, told = packed
    assert unpacked.hash == told.data_hash != corpus.hash
    assert told.size == size(folder) < size(corpus.folder) / 20 and told.kept == f"all {len(corpus.clips)} clips"
    strip = dict.fromkeys(("source",), "")
    assert [dataclasses.replace(clip, **strip) for clip in unpacked.clips] == [
        dataclasses.replace(clip, **strip) for clip in corpus.clips
    ]
    assert sorted(path.stem for path in (unpacked.folder / "lists").iterdir()) == ["test", "val"]


def test_pictures_and_sounds_are_nearly_those_packed(small_corpus, tmp_path):
    settings = DataSettings(synthetic=SMALL, list_seconds=0.4, val_items=10, test_items=10)
    original = Corpus.open(shutil.copytree(small_corpus.folder, tmp_path / "corpus"))
    pack(original, settings, tmp_path / "pack", 50)
    again = unpack(tmp_path / "pack", tmp_path / "unpacked").corpus
    batches = [FixedMixtures(corpus, "test").batch(range(10)) for corpus in (original, again)]
    for clip, other in zip(original.clips, again.clips, strict=True):
        error = original.lips(clip).astype(float) - again.lips(other)
        assert abs(error.mean()) < 0.2 and np.sqrt((error**2).mean()) < 4  # of 255, where noise of 3 is painted
    clean = [batch.clean for batch in batches]
    assert si_snr(clean[1], clean[0]).median() > 8  # in time with each other, and alike as far as 24 kbit/s go


def test_unpacking_gives_the_same_bits_each_time_and_leaves_what_is_there(packed, unpacked, tmp_path):
    content = snapshot(unpack(packed[0], tmp_path / "again").corpus.folder)
    options = content.pop(next(path for path in content if path.name == "data.yaml"))
    assert f"folder: {tmp_path / 'again'}" in options.decode()
    assert content == {path: held for path, held in snapshot(unpacked.folder).items() if path.name != "data.yaml"}
    times = {path: path.stat().st_mtime_ns for path in unpacked.folder.rglob("*")}
    assert unpack(packed[0], unpacked.folder).corpus.hash == unpacked.hash
    assert times == {path: path.stat().st_mtime_ns for path in unpacked.folder.rglob("*")}


def test_it_trains_where_the_recordings_are_not(unpacked):
    settings = noted(unpacked.folder)
    assert settings.root is None and settings.list_seconds == 1.0
    assert build(settings, unpacked.folder).hash == unpacked.hash
    mixtures = TrainingMixtures(unpacked, settings, batch_size=5, clip_seconds=1.0, lip_dropout=0.0, seed=0)
    assert mixtures.batch(3).mixture.shape == (5, 16_000)
    with pytest.raises(UserError, match="other settings \\(data.snr_min\\)"):
        build(dataclasses.replace(settings, snr_min=-9.0), unpacked.folder)


def test_a_pack_is_not_taken_for_a_corpus(packed):
    with pytest.raises(UserError, match="is a compact pack; run `ofa-avse data unpack`"):
        build(SETTINGS, packed[0])


def test_what_is_too_large_is_thinned_evenly(corpus, packed, tmp_path):
    folder, whole = packed
    limit = 0.8 * whole.size / 1e6
    told = pack(corpus, SETTINGS, tmp_path / "pack", limit)
    assert size(tmp_path / "pack") == told.size <= limit * 1e6
    kept = unpack(tmp_path / "pack", tmp_path / "corpus").corpus
    assert {(clip.role, clip.split) for clip in kept.clips} == {(clip.role, clip.split) for clip in corpus.clips}
    counts = Counter(clip.speaker for clip in kept.select("talker"))
    assert len(counts) == 9 and max(counts.values()) - min(counts.values()) <= 1
    assert f"{len(kept.clips)} of {len(corpus.clips)} clips within" in told.kept
    assert f"talker {sum(counts.values())} of 27" in told.kept and len(kept.clips) < len(corpus.clips)
    FixedMixtures(kept, "val").batch(range(5))  # lists of what is kept


def test_what_fits_in_no_way_is_refused(corpus, tmp_path):
    with pytest.raises(UserError, match="--max_mb: 0.03 leaves no .* clip for '.*'; raise it"):
        pack(corpus, SETTINGS, tmp_path / "pack", 0.03)
    with pytest.raises(UserError, match="--max_mb: must be positive"):
        pack(corpus, SETTINGS, tmp_path / "pack", 0)
    assert not (tmp_path / "pack").exists()


def test_a_killed_packing_goes_on(corpus, packed, tmp_path, monkeypatch):
    encode, encoded = compact._encode, []

    def killed(alone, folder):
        encoded.append(alone.clips[0].id)
        if len(encoded) > 20:
            raise KeyboardInterrupt
        return encode(alone, folder)

    monkeypatch.setattr(compact, "_encode", killed)
    with pytest.raises(KeyboardInterrupt):
        pack(corpus, SETTINGS, tmp_path / "pack", 50)
    monkeypatch.undo()
    assert not (tmp_path / "pack").exists()
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob(".*/audio/*.ogg")}
    assert times
    assert pack(corpus, SETTINGS, tmp_path / "pack", 50).data_hash == packed[1].data_hash
    assert times.items() <= {path.name: path.stat().st_mtime_ns for path in (tmp_path / "pack/audio").iterdir()}.items()
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


def broken(path, how):
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 4
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
@pytest.mark.parametrize(
    "pattern", ["pack.json", "clips.jsonl", "settings.json", "lists/val.jsonl", "audio/*", "lips/*"]
)
def test_damage_is_named(packed, tmp_path, pattern, how):
    folder = shutil.copytree(packed[0], tmp_path / "pack")
    path = sorted(folder.glob(pattern))[1 if "*" in pattern else 0]
    broken(path, how)
    with pytest.raises(UserError) as error:
        unpack(folder, tmp_path / "corpus")
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert not (tmp_path / "corpus").exists()


def test_other_bits_are_another_corpus(packed, unpacked, tmp_path, monkeypatch):
    read = compact._read_sound
    monkeypatch.setattr(compact, "_read_sound", lambda path: read(path) ^ ("val-rain" in path.name))  # another decoder
    corpus, other_bits = unpack(packed[0], tmp_path / "corpus")
    assert other_bits == 1 and corpus.hash != unpacked.hash


def test_packs_and_shards_can_be_packed(corpus, unpacked, tmp_path):
    from_shards = shards.pack(corpus, tmp_path / "shards", 1.2)
    once = pack(from_shards, SETTINGS, tmp_path / "once", 50)
    assert once.data_hash == unpacked.hash
    pack(unpacked, noted(unpacked.folder), tmp_path / "twice", 50)
    again = unpack(tmp_path / "twice", tmp_path / "corpus").corpus
    assert all(clip.source.count("[") == 1 for clip in again.clips)


def test_what_is_there_is_not_replaced(corpus, packed, tmp_path):
    (tmp_path / "notes.txt").touch()
    for action in (lambda: pack(corpus, SETTINGS, tmp_path, 50), lambda: unpack(packed[0], tmp_path)):
        with pytest.raises(UserError, match="is there already; name a new folder"):
            action()
    with pytest.raises(UserError, match="pack.json: not found; name a folder that"):
        unpack(tmp_path, tmp_path / "corpus")


def test_recorded_mixtures_are_not_parted_from_their_targets(corpus, tmp_path):
    folder = shutil.copytree(corpus.folder, tmp_path / "corpus")
    mixture: Clip = add_clip(folder, "mixture", "mixture", "train", "train0")
    with pytest.raises(UserError, match="holds recorded mixtures"):
        pack(Corpus.write(folder, [*corpus.clips, mixture]), SETTINGS, tmp_path / "pack", 50)
