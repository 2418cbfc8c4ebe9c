"""A corpus reads back what was written, and says what is wrong with one that is broken."""

import shutil

import numpy as np
import pytest

from supernet.data.corpus import Clip, Corpus, save_audio
from supernet.data.sums import SUMS
from supernet.errors import UserError


def test_corpus_reads_back_its_clips(synthetic_corpus):
    assert Corpus.open(synthetic_corpus.folder).clips == synthetic_corpus.clips
    assert len(synthetic_corpus.select(split="val")) == 8
    assert synthetic_corpus.select(role="noise") == []


def test_excerpts_are_slices_of_the_whole(synthetic_corpus):
    clip = synthetic_corpus.clips[0]
    wave, lips = synthetic_corpus.audio(clip), synthetic_corpus.lips(clip)
    assert wave.dtype == np.float32 and wave.shape == (clip.samples,) and lips.shape == (clip.frames, 96, 96)
    assert np.array_equal(synthetic_corpus.audio(clip, 100, 50), wave[100:150])
    assert np.array_equal(synthetic_corpus.lips(clip, 10, 5), lips[10:15])
    with pytest.raises(UserError, match="has 32000 samples"):
        synthetic_corpus.audio(clip, 31_999, 2)


def test_missing_and_broken_manifests_are_named(tmp_path):
    with pytest.raises(UserError, match="manifest.jsonl: not found"):
        Corpus.open(tmp_path)
    (tmp_path / "manifest.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(UserError, match="line 1 is no clip"):
        Corpus.open(tmp_path)
    (tmp_path / "manifest.jsonl").write_text("")
    with pytest.raises(UserError, match="holds no clip"):
        Corpus.open(tmp_path)


def test_hash_covers_clips_and_lists(synthetic_corpus, tmp_path):
    one = Corpus.write(tmp_path, synthetic_corpus.clips).hash
    fewer = Corpus.write(tmp_path, synthetic_corpus.clips[1:]).hash
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/val.jsonl").write_text("{}\n")
    assert len({one, fewer, Corpus.open(tmp_path).hash}) == 3


def made(folder, value: int) -> Corpus:
    """A corpus of one clip of one value."""
    (folder / "audio").mkdir(parents=True)
    save_audio(folder / "audio" / "a.wav", np.full(6400, value, np.int16))
    clip = Clip("a", "speech", "train", "x", "", "audio/a.wav", "", 6400, 10, "made")
    Corpus.write(folder, [clip])
    return Corpus.open(folder)


@pytest.mark.parametrize("hashes", [True, False])
def test_a_corpus_that_was_deleted_and_made_again_is_read_anew(tmp_path, hashes):
    """In one process, at one place, also of a former version, which had no hashes."""
    for value in (100, 200):
        corpus = made(tmp_path / "corpus", value)
        if not hashes:
            (tmp_path / "corpus" / SUMS).unlink()
            corpus = Corpus.open(tmp_path / "corpus")
        assert corpus.audio(corpus.clips[0], 0, 1)[0] == value / 32768
        assert corpus.level(corpus.clips[0]) == pytest.approx(value / 32768)
        shutil.rmtree(tmp_path / "corpus")


@pytest.mark.parametrize("name", ["manifest.jsonl", "audio/a.wav"])
def test_a_file_that_was_changed_is_named_when_it_is_read(tmp_path, name):
    made(tmp_path, 100)
    path = tmp_path / name
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(len(content), size=40):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << int(rng.integers(8))]) + content[place + 1 :])
        with pytest.raises(UserError, match=path.name):
            corpus = Corpus.open(tmp_path)
            corpus.audio(corpus.clips[0])
    for cut in (1, len(content) // 2, len(content)):
        path.write_bytes(content[:-cut])
        with pytest.raises(UserError, match=path.name):
            corpus = Corpus.open(tmp_path)
            corpus.audio(corpus.clips[0])


@pytest.mark.parametrize("content", [b"\0" * 999, b"what else\n", b"[]\n", b"null\n", b"{}\n", b"[" * 9999, b"\xff\n"])
def test_a_manifest_of_garbage_is_named(tmp_path, content):
    made(tmp_path, 1)
    (tmp_path / "manifest.jsonl").write_bytes(content)
    with pytest.raises(UserError, match="manifest.jsonl: "):
        Corpus.open(tmp_path)
