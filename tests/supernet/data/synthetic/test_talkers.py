from dataclasses import replace

import numpy as np
import pytest
from scipy.io import wavfile

from supernet.data.synthetic.talkers import SPLITS, VARIANTS, SyntheticSettings, perform, synthesize, talker
from supernet.errors import UserError
from supernet.timing import SAMPLES_PER_FRAME

SMALL = SyntheticSettings(
    train_clips=4, val_clips=2, test_clips=2, train_voices=3, val_voices=2, test_voices=2, clip_seconds=1.6, workers=1
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talkers")
    return folder, synthesize(folder, SMALL)


def _contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def _loudness(speech):
    return np.sqrt((speech.reshape(-1, SAMPLES_PER_FRAME) ** 2).mean(axis=1))


def _darkness(lips):
    return 255 - lips[:, 36:76, 38:58].astype(float).mean(axis=(1, 2))


def test_every_clip_has_audio_and_lips_of_its_length(corpus):
    folder, clips = corpus
    assert [clip.split for clip in clips] == ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    assert len({clip.id for clip in clips}) == len(clips)
    for clip in clips:
        rate, speech = wavfile.read(folder / clip.audio)
        lips = np.load(folder / clip.lips)
        assert (rate, speech.dtype, speech.shape) == (16000, np.int16, (clip.samples,))
        assert (lips.dtype, lips.shape) == (np.uint8, (clip.frames, 96, 96))
        assert clip.frames == 40 and clip.samples == 640 * clip.frames


def test_clips_are_at_their_level_and_begin_with_speech(corpus):
    folder, clips = corpus
    for clip in clips:
        speech = wavfile.read(folder / clip.audio)[1] / 32768
        assert -28.1 < 20 * np.log10(np.sqrt(np.mean(speech**2))) < -23.9
        assert np.abs(speech).max() < 0.96
        assert np.abs(speech[:1600]).max() > 0.01


def test_voices_are_disjoint_between_splits(corpus):
    _, clips = corpus
    voices = {split: {talker(SyntheticSettings(), split, n).voice for n in range(60)} for split in SPLITS}
    speakers = {split: {clip.speaker for clip in clips if clip.split == split} for split in SPLITS}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert not set(VARIANTS[one]) & set(VARIANTS[other])
        assert not {v.name.split("+")[1] for v in voices[one]} & {v.name.split("+")[1] for v in voices[other]}
        assert not speakers[one] & speakers[other]


def test_faces_of_different_speakers_differ():
    faces = [talker(SMALL, split, number).face for split in SPLITS for number in range(2)]
    assert len({face.half_width for face in faces}) == len(faces)


def test_opening_follows_the_loudness_of_the_speech_without_delay():
    correlations = []
    for index in range(4):
        speech, lips = perform(replace(SMALL, clip_seconds=3.2), "test", index)
        loudness, darkness = _loudness(speech.astype(float)), _darkness(lips)
        correlations.append([np.corrcoef(np.roll(darkness, lag)[3:-3], loudness[3:-3])[0, 1] for lag in range(-3, 4)])
    mean = np.mean(correlations, axis=0)
    assert mean.argmax() == 3 and mean[3] > 0.6


def test_lips_tell_which_of_two_talkers_they_belong_to():
    clips = [perform(replace(SMALL, clip_seconds=3.2), "val", index) for index in range(4)]
    loudness = [_loudness(speech.astype(float)) for speech, _ in clips]
    for own, (_, lips) in enumerate(clips):
        matches = [np.corrcoef(_darkness(lips), curve)[0, 1] for curve in loudness]
        assert int(np.argmax(matches)) == own


def test_two_worker_processes_make_the_same_files_as_one(corpus, tmp_path):
    folder, clips = corpus
    assert synthesize(tmp_path, replace(SMALL, workers=2)) == clips
    assert _contents(tmp_path) == _contents(folder)


def test_a_clip_does_not_depend_on_how_many_there_are(corpus, tmp_path):
    folder, _ = corpus
    [only] = synthesize(tmp_path, replace(SMALL, train_clips=0, val_clips=1, test_clips=0))
    assert (tmp_path / only.lips).read_bytes() == (folder / only.lips).read_bytes()


def test_another_seed_gives_other_clips():
    speech, lips = perform(SMALL, "train", 0)
    other_speech, other_lips = perform(replace(SMALL, seed=1), "train", 0)
    assert not np.array_equal(speech, other_speech) and not np.array_equal(lips, other_lips)


def test_a_killed_run_goes_on_without_redoing_what_is_complete(tmp_path):
    settings = replace(SMALL, train_clips=2, val_clips=0, test_clips=0)
    done, lost = synthesize(tmp_path, settings)
    whole = (tmp_path / lost.audio).read_bytes()
    (tmp_path / lost.audio).unlink()
    partial = tmp_path / "audio" / f".{lost.id}.wav.partial"
    partial.write_bytes(whole[:100])  # as a killed writer leaves it
    before = (tmp_path / done.lips).stat().st_mtime_ns
    assert synthesize(tmp_path, settings) == [done, lost]
    assert (tmp_path / done.lips).stat().st_mtime_ns == before
    assert (tmp_path / lost.audio).read_bytes() == whole
    assert not partial.exists()


@pytest.mark.parametrize(
    "field, value",
    [("clip_seconds", 1.01), ("clip_seconds", 0), ("train_clips", -1), ("val_voices", 0), ("workers", 0), ("seed", -1)],
)
def test_settings_out_of_range_are_named(field, value):
    with pytest.raises(UserError, match=f"data.synthetic.{field}"):
        replace(SMALL, **{field: value})
