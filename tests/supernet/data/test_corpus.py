"""A corpus reads back what was written, and says what is wrong with one that is broken."""

import numpy as np
import pytest

from supernet.data.corpus import Corpus
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
