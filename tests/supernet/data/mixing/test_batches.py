"""Mixtures have the SNR they claim, batches are pure functions, lists are fair, and splits never mix."""

import dataclasses
import time
from collections import Counter

import numpy as np
import pytest
import torch

from supernet.data.corpus import Corpus, write_lines
from supernet.data.mixing.batches import FixedMixtures, TrainingMixtures
from supernet.data.mixing.draw import CONDITIONS, Drawing, noise_condition
from supernet.data.mixing.realise import realise
from supernet.data.mixing.spec import MixtureSpec
from supernet.data.settings import DataSettings
from supernet.errors import UserError
from supernet.training import batches


def drawn(corpus, settings, split="train", items=200, frames=25):
    return Drawing(corpus, settings, split, frames).specs(items, (settings.seed, 9))


def training(corpus, settings, **changes):
    arguments = dict(batch_size=10, clip_seconds=1.0, lip_dropout=0.3, seed=3) | changes
    return TrainingMixtures(corpus, settings, **arguments)


def test_snr_is_exact_over_the_excerpt(corpus_and_settings):
    corpus, settings = corpus_and_settings
    for spec in drawn(corpus, settings):
        example = realise(corpus, spec)
        masker = example.mixture - example.clean
        snr_db = 10 * np.log10(np.mean(example.clean**2) / np.mean(masker**2))
        assert snr_db == pytest.approx(spec.snr_db, abs=0.01)
        assert settings.snr_min <= spec.snr_db <= settings.snr_max


def test_mixtures_never_clip(corpus_and_settings):
    corpus, settings = corpus_and_settings
    loud = dataclasses.replace(drawn(corpus, settings, items=1)[0], snr_db=-40.0)
    example = realise(corpus, loud)
    masker = example.mixture - example.clean
    assert np.abs(example.mixture).max() <= 0.99 + 1e-6
    assert 10 * np.log10(np.mean(example.clean**2) / np.mean(masker**2)) == pytest.approx(-40, abs=0.01)


def test_batch_is_a_pure_function_of_seed_and_step(corpus_and_settings):
    corpus, settings = corpus_and_settings
    reopened = Corpus.open(corpus.folder)
    first, mixtures = training(corpus, settings).batch(7), training(reopened, settings)
    mixtures.batch(3)
    again, other_step = mixtures.batch(7), mixtures.batch(8)
    other_seed = training(corpus, settings, seed=4).batch(7)
    for name in ("mixture", "clean", "lips", "lips_present"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.mixture, other_step.mixture)
    assert not torch.equal(first.mixture, other_seed.mixture)


def test_batch_has_the_documented_shapes_and_types(synthetic_corpus):
    batch = training(synthetic_corpus, DataSettings()).batch(0)
    assert batch.mixture.shape == batch.clean.shape == (10, 16_000)
    assert batch.lips.shape == (10, 25, 88, 88) and batch.lips_present.shape == (10,)
    assert (batch.mixture.dtype, batch.lips.dtype, batch.lips_present.dtype) == (
        torch.float32,
        torch.uint8,
        torch.bool,
    )


def test_lips_are_dropped_as_often_as_asked_and_leave_zeros(synthetic_corpus):
    mixtures = training(synthetic_corpus, DataSettings(), batch_size=50)
    batches = [mixtures.batch(step) for step in range(8)]
    present = torch.cat([batch.lips_present for batch in batches])
    assert 0.6 < present.float().mean() < 0.8
    for batch in batches:
        assert batch.lips[~batch.lips_present].sum() == 0
        assert batch.lips[batch.lips_present].flatten(1).any(dim=1).all()


def test_lips_and_sound_start_at_the_same_frame(synthetic_corpus):
    for spec in drawn(synthetic_corpus, DataSettings(), items=20):
        example = realise(synthetic_corpus, spec)
        target = synthetic_corpus.clip(spec.target)
        wave = synthetic_corpus.audio(target, spec.start * 640, spec.frames * 640)
        assert list(example.lips[:, 0, 0]) == list(range(spec.start, spec.start + spec.frames))
        assert np.corrcoef(example.clean, wave)[0, 1] > 0.9999


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_draws_from_its_own_clips_only(corpus_and_settings, split):
    corpus, settings = corpus_and_settings
    for spec in drawn(corpus, settings, split):
        heard = [spec.target, *(clip for clip, _ in spec.maskers)]
        assert {corpus.clip(name).split for name in heard} == {split}
        assert len(set(heard)) == len(heard)


def test_maskers_are_what_the_condition_says(real_corpus):
    for spec in drawn(real_corpus, DataSettings(corpus="grid")):
        target = real_corpus.clip(spec.target)
        maskers = [real_corpus.clip(name) for name, _ in spec.maskers]
        if spec.condition in ("ambience", "events"):
            assert [noise_condition(masker.category) for masker in maskers] == [spec.condition]
        elif spec.condition == "babble":
            assert 3 <= len(maskers) <= 6 and all(masker.role == "speech" for masker in maskers)
        else:
            assert (maskers[0].speaker == target.speaker) == (spec.condition == "same_talker")
            assert len(maskers) == 1 and maskers[0].id != target.id


def test_conditions_have_equal_shares(corpus_and_settings):
    corpus, settings = corpus_and_settings
    counts = Counter(spec.condition for spec in drawn(corpus, settings, items=50))
    assert counts == dict.fromkeys(CONDITIONS[settings.corpus], 10)


def test_each_condition_goes_round_all_targets(real_corpus):
    specs = drawn(real_corpus, DataSettings(corpus="grid"), items=45)  # 5 conditions x 9 talker clips
    assert len({(spec.condition, spec.target) for spec in specs}) == 45


def test_reverberation_leaves_the_clean_signal_dry(synthetic_corpus):
    settings = DataSettings(reverberation=True)
    for spec in drawn(synthetic_corpus, settings, items=10):
        wet, dry = (realise(synthetic_corpus, s) for s in (spec, dataclasses.replace(spec, room=None)))
        assert np.corrcoef(wet.clean, dry.clean)[0, 1] > 0.9999
        assert np.corrcoef(wet.mixture, dry.mixture)[0, 1] < 0.99


def test_a_masker_shorter_than_the_target_goes_round(real_corpus):
    spec = MixtureSpec("train0a", 0, 50, "ambience", 0.0, maskers=(("train-rain", 31_000),))
    example = realise(real_corpus, spec)
    wave = real_corpus.audio(real_corpus.clip("train-rain"))
    expected = np.concatenate([wave[31_000:], wave[:31_000]])
    assert np.corrcoef(example.mixture - example.clean, expected)[0, 1] > 0.9999


def fixed(corpus, items=10):
    return FixedMixtures(corpus, drawn(corpus, DataSettings(), "test", items))


def test_fixed_lips_are_the_centre_crop(synthetic_corpus):
    mixtures = fixed(synthetic_corpus)
    lips = mixtures.batch([4]).lips[0].numpy()
    spec = mixtures.specs[4]
    whole = synthetic_corpus.lips(synthetic_corpus.clip(spec.target), spec.start, spec.frames)
    assert np.array_equal(lips, whole[:, 4:92, 4:92])


def test_other_lips_belong_to_a_clip_that_is_not_heard(synthetic_corpus):
    mixtures = fixed(synthetic_corpus)
    true, other, none = (mixtures.batch(range(10), lips) for lips in ("true", "other", "none"))
    assert torch.equal(true.mixture, other.mixture) and torch.equal(true.mixture, none.mixture)
    assert other.lips_present.all() and not none.lips_present.any() and none.lips.sum() == 0
    assert all(not torch.equal(a, b) for a, b in zip(true.lips, other.lips, strict=True))


def test_a_fixed_list_is_the_same_after_a_round_trip_through_its_file(synthetic_corpus):
    mixtures = fixed(synthetic_corpus)
    write_lines(synthetic_corpus.folder / "lists/trip.jsonl", map(dataclasses.asdict, mixtures.specs))
    again = FixedMixtures(synthetic_corpus, "trip")
    assert again.specs == mixtures.specs and again.hash == mixtures.hash
    assert again.conditions == mixtures.conditions and len(again) == 10
    assert fixed(synthetic_corpus, items=9).hash != mixtures.hash


def test_unknown_list_is_named(synthetic_corpus):
    with pytest.raises(UserError, match="dev.jsonl: not found"):
        FixedMixtures(synthetic_corpus, "dev")


def test_excerpts_longer_than_every_clip_are_refused(synthetic_corpus):
    with pytest.raises(UserError, match="no 'train' talker lasts 3 s"):
        training(synthetic_corpus, DataSettings(), clip_seconds=3.0)


def test_length_between_frames_is_refused(synthetic_corpus):
    with pytest.raises(UserError, match="clip_seconds: 1.3 s must be"):
        training(synthetic_corpus, DataSettings(), clip_seconds=1.3)


def test_a_split_without_noise_is_refused(synthetic_corpus):
    with pytest.raises(UserError, match="too few clips for the condition 'ambience'"):
        training(synthetic_corpus, DataSettings(corpus="grid"))


def test_batches_are_cheap(synthetic_corpus):
    mixtures = training(synthetic_corpus, DataSettings(), batch_size=16, clip_seconds=1.28)
    mixtures.batch(0)
    durations = []
    for step in range(1, 6):
        started = time.perf_counter()
        mixtures.batch(step)
        durations.append(time.perf_counter() - started)
    assert min(durations) < 0.08  # about 0.03 s on an idle core


def test_further_corpora_add_their_training_clips_only(real_corpus, synthetic_corpus):
    settings = DataSettings(corpus="grid", also=[str(synthetic_corpus.folder)])
    mixtures = training(real_corpus, settings)
    added = set(mixtures.corpus.clips) - set(real_corpus.clips)
    assert {clip.id for clip in added} == {f"1:{clip.id}" for clip in synthetic_corpus.select(split="train")}
    assert mixtures.identity != training(real_corpus, DataSettings(corpus="grid")).identity
    specs = Drawing(mixtures.corpus, settings, "train", 25).specs(100, (0,))
    speakers = {mixtures.corpus.clip(spec.target).speaker for spec in specs}
    assert speakers & {clip.speaker for clip in added}
    assert torch.isfinite(mixtures.batch(0).mixture).all()


def test_a_corpus_named_twice_is_refused(real_corpus):
    with pytest.raises(UserError, match="data.also"):
        training(real_corpus, DataSettings(corpus="grid", also=[str(real_corpus.folder)]))


def test_speech_without_video_is_a_target_without_lips(real_corpus):
    settings = DataSettings(corpus="grid", speech_targets=True)
    drawing = Drawing(real_corpus, settings, "train", 25)
    mute = [s for s in drawing.specs(100, (0,)) if real_corpus.clip(s.target).role == "speech"]
    assert mute and all(spec.condition != "same_talker" for spec in mute)
    assert realise(real_corpus, mute[0]).lips is None
    batch = training(real_corpus, settings, batch_size=40, lip_dropout=0.0).batch(0)
    assert 0 < batch.lips_present.sum() < 40
    assert not batch.lips[~batch.lips_present].any()


def test_balance_draws_speakers_rather_than_clips(real_corpus):
    talkers = real_corpus.select("talker", "train")
    many = [clip for clip in talkers if clip.speaker == talkers[0].speaker]
    one = next(clip for clip in talkers if clip.speaker != talkers[0].speaker)
    for balance, expected in ((0.0, 1 / (len(many) + 1)), (1.0, 1 / 2)):
        drawing = Drawing(real_corpus, DataSettings(corpus="grid", balance=balance), "train", 20, [*many, one])
        generator = np.random.default_rng(0)
        share = np.mean([drawing.spec("babble", generator).target == one.id for _ in range(400)])
        assert share == pytest.approx(expected, abs=0.08)


def test_batches_mixed_ahead_by_other_processes_are_the_same(synthetic_corpus):
    settings = dataclasses.replace(DataSettings(), loaders=1)
    mixtures = training(synthetic_corpus, settings, batch_size=2)
    for step, batch in enumerate(batches(mixtures, 3, 5, "cpu"), start=3):
        expected = training(synthetic_corpus, DataSettings(), batch_size=2).batch(step)
        assert torch.equal(batch.mixture, expected.mixture)
        assert torch.equal(batch.lips, expected.lips)
