"""Mixtures as corpora define them: SNR plain and speech-weighted, several maskers, onsets, rooms, scenes, levels."""

import json
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from scipy.signal import fftconvolve

from supernet.data.build import build
from supernet.data.corpus import Corpus, write_lines
from supernet.data.mixing.batches import FixedMixtures, TrainingMixtures
from supernet.data.mixing.draw import Drawing
from supernet.data.mixing.realise import realise
from supernet.data.mixing.rooms import adopt, given_response, image_response, response, reverberate
from supernet.data.mixing.spec import MixtureSpec
from supernet.data.mixing.weighting import speech_filter, speech_power
from supernet.data.settings import DataSettings
from supernet.errors import UserError
from supernet.storage.records import convert

DRAWS = 1000
ALL = dict(
    conditions=["coloured", "impulsive", "babble", "talker", "noise"],
    interferers=[1, 3],
    onset=0.5,
    level_db=[-20.0, 6.0],
    babble=[2, 3],
)


def drawn(corpus, settings, split="train", items=60, frames=10):
    return Drawing(corpus, settings, split, frames).specs(items, (settings.seed, 9))


def weighted(wave):
    """Energy behind the speech filter, by the definition: a full convolution."""
    return np.sum(np.square(fftconvolve(wave, speech_filter(), mode="full")))


def snr_error(corpus, spec, energy):
    """dB between the SNR asked for and that of what is heard, from the maskers' onset on."""
    example = realise(corpus, spec)
    clean, mixture = example.clean.astype(float)[spec.onset :], example.mixture.astype(float)[spec.onset :]
    return abs(10 * np.log10(energy(clean) / energy(mixture - clean)) - spec.snr_db)


@pytest.mark.parametrize("weighting, energy", [("plain", lambda wave: np.sum(wave**2)), ("speech", weighted)])
def test_snr_is_exact_over_a_thousand_draws(real_corpus, weighting, energy):
    settings = DataSettings(corpus="grid", snr_weighting=weighting, snr_min=-15, snr_max=15, **ALL)
    specs = drawn(real_corpus, settings, items=DRAWS, frames=5)
    assert max(snr_error(real_corpus, spec, energy) for spec in specs) < 0.01
    assert {len(spec.others) for spec in specs} == {0, 1, 2} and {spec.onset > 0 for spec in specs} == {True, False}


@pytest.mark.parametrize("weighting", ["plain", "speech"])
def test_snr_is_exact_as_heard_in_the_room(synthetic_corpus, weighting):
    settings = DataSettings(reverberation=True, snr_weighting=weighting, onset=0.5)
    energy = weighted if weighting == "speech" else lambda wave: np.sum(wave**2)
    for spec in drawn(synthetic_corpus, settings, items=20):
        example = realise(synthetic_corpus, spec)
        heard = reverberate(example.clean, response(spec.room, 0))
        masker = (example.mixture - heard)[spec.onset :].astype(float)
        measured = 10 * np.log10(energy(heard[spec.onset :].astype(float)) / energy(masker))
        assert measured == pytest.approx(spec.snr_db, abs=0.01)


def test_speech_filter_has_the_published_response():
    """Of speech_weight.mat in github.com/claritychallenge/clarity, made for 44.1 kHz, against its 0 dB at 1 kHz."""
    published = {100: -18.79, 150: -13.51, 200: -9.55, 250: -6.59, 350: -2.64, 450: -0.63, 570: -0.02, 1000: 0.0}
    published |= {2150: 0.0, 4000: -0.08, 4800: -1.99, 5800: -4.56, 7000: -8.21, 7500: -10.26}
    response = np.abs(np.fft.rfft(speech_filter(), 16_000))
    for frequency, level in published.items():
        assert 20 * np.log10(response[frequency] / response[1000]) == pytest.approx(level, abs=0.75)


def test_speech_power_is_that_of_the_full_convolution():
    for samples in (3_200, 2_001):  # transforms of even and odd length
        wave = np.random.default_rng(0).standard_normal(samples)
        assert speech_power(wave) == pytest.approx(weighted(wave) / (samples + len(speech_filter()) - 1), rel=1e-9)


def test_rumble_counts_little_in_speech_weighted_snr():
    time = np.arange(16_000) / 16_000
    rumble, voice = (speech_power(np.sin(2 * np.pi * f * time)) for f in (50, 1000))
    assert 10 * np.log10(rumble / voice) < -20


def test_nothing_changes_where_the_new_settings_are_off(synthetic_corpus, real_corpus):
    lists = {"synthetic": "2b7b346facf04365", "grid": "273fe25ac083ff2a"}  # pinned: other draws are other results
    for kind, corpus in (("synthetic", synthetic_corpus), ("grid", real_corpus)):
        settings = DataSettings(corpus=kind)
        specs = Drawing(corpus, settings, "test", 25).specs(60, (0, 9))
        assert FixedMixtures(corpus, specs).hash.startswith(lists[kind])
        identity = TrainingMixtures(corpus, settings, 2, 0.4, 0.3, 3).identity
        assert set(identity) == {"corpus", "seed", "batch_size", "frames", "lip_dropout", "snr_db", "reverberation"}


def test_each_new_setting_makes_a_training_another(real_corpus):
    plain = TrainingMixtures(real_corpus, DataSettings(corpus="grid"), 2, 0.4, 0.3, 3).identity
    changes = {name: {name: value} for name, value in ALL.items()}
    changes["snr_weighting"] = {"snr_weighting": "speech"}
    changes["rooms"] = {"reverberation": True, "rooms": "image"}
    changes["lip_degradation"] = {"lip_degradation": 0.5}
    for name, change in changes.items():
        settings = DataSettings(corpus="grid", **change)
        identity = TrainingMixtures(real_corpus, settings, 2, 0.4, 0.3, 3).identity
        assert identity[name] == getattr(settings, name) and identity != plain
        json.dumps(identity)


def test_lists_of_older_versions_are_read_as_they_were(synthetic_corpus):
    old = {
        "target": "test0a", "start": 3, "frames": 25, "condition": "talker", "snr_db": 1.5,
        "maskers": [["test1b", 77]], "noise_seed": None, "room": None,
    }  # fmt: skip
    spec = convert(old, MixtureSpec)
    assert spec == MixtureSpec("test0a", 3, 25, "talker", 1.5, (("test1b", 77),))
    assert json.loads(json.dumps(spec.to_json())) == old


def test_a_list_with_everything_survives_its_file(real_corpus):
    specs = drawn(real_corpus, DataSettings(corpus="grid", snr_weighting="speech", reverberation=True, **ALL))
    write_lines(real_corpus.folder / "lists/everything.jsonl", (spec.to_json() for spec in specs))
    again = FixedMixtures(real_corpus, "everything")
    (real_corpus.folder / "lists/everything.jsonl").unlink()
    assert again.specs == specs and again.hash == FixedMixtures(real_corpus, specs).hash
    assert np.array_equal(realise(real_corpus, again.specs[7]).mixture, realise(real_corpus, specs[7]).mixture)


def test_several_maskers_are_all_heard_at_their_levels(real_corpus):
    settings = DataSettings(corpus="grid", interferers=[2, 3])
    specs = drawn(real_corpus, settings)
    assert {len(spec.others) for spec in specs} == {1, 2}
    for spec in specs:
        heard = [clip for part in (spec, *spec.others) for clip, _ in part.maskers]
        assert len(set(heard)) == len(heard) and spec.target not in heard
        assert {real_corpus.clip(clip).split for clip in heard} == {"train"}
        assert all(abs(other.level_db) <= 3 for other in spec.others)
    spec = next(s for s in specs if len(s.others) == 1 and len(s.maskers) == len(s.others[0].maskers) == 1)
    mixed = realise(real_corpus, spec)
    waves = [real_corpus.audio(real_corpus.clip(c), at, 6_400) for c, at in (*spec.maskers, *spec.others[0].maskers)]
    gains = np.linalg.lstsq(np.stack(waves, 1), mixed.mixture - mixed.clean, rcond=None)[0]
    levels = [20 * np.log10(gain * np.sqrt(np.mean(wave**2))) for gain, wave in zip(gains, waves, strict=True)]
    assert levels[1] - levels[0] == pytest.approx(spec.others[0].level_db, abs=0.05)


def test_more_maskers_than_there_are_clips_are_refused(synthetic_corpus):
    settings = DataSettings(conditions=["talker"], interferers=[3, 3], babble=[1, 1])
    few = Corpus(synthetic_corpus.folder, [c for c in synthetic_corpus.clips if c.id in ("train0a", "train1a")])
    with pytest.raises(UserError, match="too few clips to mix 3 interferers"):
        drawn(few, settings)


def test_a_late_masker_swells_from_silence_and_stays(synthetic_corpus):
    settings = DataSettings(conditions=["coloured"], onset=1.0)
    specs = [spec for spec in drawn(synthetic_corpus, settings, frames=25) if spec.onset]
    assert len(specs) > 50 and all(0 < spec.onset <= 8_000 and spec.ramp > 3_000 for spec in specs)
    ratios = []
    for spec in specs:
        example = realise(synthetic_corpus, spec)
        masker = example.mixture - example.clean
        assert np.abs(masker[: spec.onset]).max() < 1e-6
        swelling, full = masker[spec.onset : spec.onset + spec.ramp // 4], masker[spec.onset + spec.ramp :]
        ratios.append(np.mean(swelling**2) / np.mean(full**2))
    assert np.mean(ratios) < 0.02 and min(ratios) > 0  # the first quarter of a raised cosine holds 0.4 % of the power


def test_onsets_come_as_often_as_asked(synthetic_corpus):
    specs = drawn(synthetic_corpus, DataSettings(onset=0.3), items=400)
    assert np.mean([spec.onset > 0 for spec in specs]) == pytest.approx(0.3, abs=0.08)


def test_babble_has_as_many_talkers_as_asked(real_corpus):
    specs = drawn(real_corpus, DataSettings(corpus="grid", conditions=["babble"], babble=[4, 5]))
    assert {len(spec.maskers) for spec in specs} == {4, 5}
    with pytest.raises(UserError, match="too few clips for the condition 'babble'"):
        drawn(real_corpus, DataSettings(corpus="grid", conditions=["babble"], babble=[6, 8]))


def test_level_variation_scales_mixture_and_clean_alike_and_never_clips(synthetic_corpus):
    quiet = drawn(synthetic_corpus, DataSettings(level_db=[-20, -10]), items=20)
    for spec in quiet:
        assert -20 <= spec.gain_db <= -10
        soft, plain = (realise(synthetic_corpus, s) for s in (spec, replace(spec, gain_db=0.0)))
        scale = 10 ** (spec.gain_db / 20)
        if np.abs(plain.mixture).max() < 0.98:
            assert np.allclose(soft.mixture, plain.mixture * scale, atol=1e-6)
            assert np.allclose(soft.clean, plain.clean * scale, atol=1e-6)
    loud = realise(synthetic_corpus, replace(quiet[0], gain_db=40.0))
    assert np.abs(loud.mixture).max() == pytest.approx(0.99, abs=1e-5)


def test_noise_and_music_are_recordings_of_their_kind(real_corpus, tmp_path):
    anything = drawn(real_corpus, DataSettings(corpus="grid", conditions=["noise"]))
    assert {real_corpus.clip(spec.maskers[0][0]).category for spec in anything} == {"rain", "dog_bark"}
    with pytest.raises(UserError, match="too few clips for the condition 'music'"):
        drawn(real_corpus, DataSettings(corpus="grid", conditions=["music"]))
    clips = [replace(clip, category="music") if clip.category == "rain" else clip for clip in real_corpus.clips]
    music = drawn(Corpus(real_corpus.folder, clips), DataSettings(corpus="grid", conditions=["music"]))
    assert {spec.maskers[0][0] for spec in music} == {"train-rain"}


@pytest.fixture
def scenes(synthetic_corpus, tmp_path):
    """A corpus with two scenes of training and one of test, and the waves that were mixed."""
    (tmp_path / "audio").mkdir()
    (tmp_path / "lips").symlink_to(synthetic_corpus.folder / "lips")
    for path in (synthetic_corpus.folder / "audio").iterdir():
        (tmp_path / "audio" / path.name).symlink_to(path)
    clips, rows = list(synthetic_corpus.clips), []
    for number, (target, snr_db) in enumerate([("train0a", 3.25), ("train1b", None), ("test0a", -1.0)]):
        clip = synthetic_corpus.clip(target)
        noise = np.random.default_rng(number).normal(0, 0.05, clip.samples)
        wave = synthetic_corpus.audio(clip) + noise
        wavfile.write(tmp_path / f"audio/S{number}.wav", 16_000, np.round(wave * 32768).astype(np.int16))
        place = dict(id=f"S{number}", role="mixture", speaker="", audio=f"audio/S{number}.wav", lips="")
        clips.append(replace(clip, **place))
        rows.append({"target": target, "mixture": f"S{number}", "snr_db": snr_db, "kind": "noise"})
    bare = Corpus.write(tmp_path, clips).hash
    write_lines(tmp_path / "scenes.jsonl", rows)
    return Corpus.open(tmp_path), bare


def test_scenes_are_heard_as_they_were_given(scenes):
    corpus, _ = scenes
    specs = drawn(corpus, DataSettings(conditions=["scene"], interferers=[2, 2], level_db=[-9, 0], onset=1.0), items=20)
    assert {(spec.target, spec.maskers[0][0]) for spec in specs} == {("train0a", "S0"), ("train1b", "S1")}
    for spec in specs:
        example, start = realise(corpus, spec), spec.start * 640
        assert np.array_equal(example.mixture, corpus.audio(corpus.clip(spec.maskers[0][0]), start, 6_400))
        assert np.array_equal(example.clean, corpus.audio(corpus.clip(spec.target), start, 6_400))
        assert np.array_equal(example.lips, corpus.lips(corpus.clip(spec.target), spec.start, 10))
        masker = example.mixture - example.clean
        measured = 10 * np.log10(np.mean(example.clean**2) / np.mean(masker**2))
        assert spec.snr_db == pytest.approx(3.25 if spec.target == "train0a" else measured, abs=1e-3)
    assert {s.target for s in drawn(corpus, DataSettings(conditions=["scene"]), "test")} == {"test0a"}


def test_scenes_take_turns_with_other_conditions_in_batches_and_lists(scenes):
    corpus, _ = scenes
    settings = DataSettings(conditions=["scene", "coloured"])
    assert torch.isfinite(TrainingMixtures(corpus, settings, 4, 0.4, 0.3, 3).batch(1).mixture).all()
    fixed = FixedMixtures(corpus, drawn(corpus, settings))
    assert fixed.conditions[:4] == ["scene", "coloured", "scene", "coloured"]


def test_scenes_enter_the_hash_only_where_they_are(scenes, synthetic_corpus):
    corpus, bare = scenes
    assert synthetic_corpus.scenes == () and len(corpus.scenes) == 3
    assert corpus.hash != bare


def test_scenes_of_further_corpora_join_with_their_clips(scenes, real_corpus):
    corpus, _ = scenes
    joined = real_corpus.joined([corpus])
    assert {scene.mixture for scene in joined.scenes} == {"1:S0", "1:S1"}
    specs = drawn(joined, DataSettings(corpus="grid", conditions=["scene"]))
    assert {spec.target for spec in specs} == {"1:train0a", "1:train1b"}
    assert realise(joined, specs[0]).mixture.any()


def test_a_corpus_without_scenes_and_a_damaged_list_of_them_are_refused(scenes, synthetic_corpus):
    with pytest.raises(UserError, match="too few clips for the condition 'scene'"):
        drawn(synthetic_corpus, DataSettings(conditions=["scene"]))
    corpus, _ = scenes
    (corpus.folder / "scenes.jsonl").write_text('{"target": "nobody", "mixture": "S0", "snr_db": 1, "kind": ""}\n')
    with pytest.raises(UserError, match="scenes.jsonl: line 1 is no scene"):
        _ = Corpus.open(corpus.folder).scenes


@pytest.fixture
def responses(tmp_path):
    """Nine rooms: eight folders of three places, and a file alone; each a click at 0.01 s and its echo."""
    for room in range(8):
        for place in range(3):
            path = tmp_path / f"given/room{room}/{place}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            impulse = np.zeros(4_000, np.float32)
            impulse[160], impulse[560 + 100 * room + 10 * place] = -0.5, 0.25
            wavfile.write(path, 16_000, impulse)
    wavfile.write(tmp_path / "given/alone.wav", 16_000, impulse)
    return tmp_path / "given"


def test_given_rooms_are_split_and_begin_with_their_direct_path(responses, tmp_path):
    adopt(responses, tmp_path / "corpus", seed=0)
    splits = ("train", "val", "test")
    rooms = {split: {path.name for path in (tmp_path / f"corpus/rooms/{split}").iterdir()} for split in splits}
    assert sorted(name for names in rooms.values() for name in names) == ["alone.wav", *(f"room{n}" for n in range(8))]
    assert all(rooms.values()) and len(rooms["train"]) > len(rooms["test"])
    folder = next((tmp_path / "corpus/rooms/train").glob("room*"))
    places = [given_response(folder, 5, place) for place in range(3)]
    assert all(impulse[0] == 1 and impulse.min() == pytest.approx(-0.5, abs=1e-4) for impulse in places)
    assert len({int(impulse.argmin()) for impulse in places}) == 3


def test_a_corpus_is_mixed_in_given_rooms(responses, real_settings, small_rooms):
    corpus, settings = small_rooms(responses)
    for split in ("train", "test"):
        specs = Drawing(corpus, settings, split, 10).specs(20, (0,))
        assert {spec.rooms.rsplit("/", 1)[0] for spec in specs} == {f"rooms/{split}"}
        example = realise(corpus, specs[0])
        dry = realise(corpus, replace(specs[0], room=None))
        assert np.corrcoef(example.clean, dry.clean)[0, 1] > 0.9999
        assert np.abs(example.mixture - dry.mixture).max() > 1e-3
    assert all(spec.rooms.startswith("rooms/val/") for spec in FixedMixtures(corpus, "val").specs)


@pytest.fixture
def small_rooms(real_corpus, tmp_path, monkeypatch):
    """Builds a corpus of the real one's clips with the responses of a folder."""

    def make(folder):
        def prepare(target, settings):
            for kind in ("audio", "lips"):
                (target / kind).symlink_to(real_corpus.folder / kind)
            return list(real_corpus.clips), []

        monkeypatch.setattr("supernet.data.recordings.preparing.prepare", prepare)
        settings = DataSettings(
            corpus="grid", reverberation=True, rooms=str(folder), list_seconds=0.4, val_items=5, test_items=5,
            test_speaker="test0",
        )  # fmt: skip
        return build(settings, tmp_path / "built"), settings

    return make


def test_too_few_rooms_are_refused(responses, tmp_path):
    (responses / "room1/2.wav").unlink()
    with pytest.raises(UserError, match="data.rooms: .*room1 holds impulse responses of 2 rooms"):
        adopt(responses / "room1", tmp_path / "corpus", 0)


def test_image_rooms_begin_with_their_direct_path_and_decay():
    pytest.importorskip("pyroomacoustics", reason="pip install 'ofa-avse[rooms]'")
    first, again, other = image_response(3, 0), image_response.__wrapped__(3, 0), image_response(3, 1)
    assert np.array_equal(first, again) and not np.array_equal(first[:2_000], other[:2_000])
    for impulse in (first, other):
        assert impulse[0] == 1 and impulse.dtype == np.float32
        assert np.sum(impulse[2_400:] ** 2) < 0.1 * np.sum(impulse[:2_400] ** 2)


def test_image_rooms_differ_from_split_to_split(synthetic_corpus):
    settings = DataSettings(reverberation=True, rooms="image")
    rooms = [{s.room for s in drawn(synthetic_corpus, settings, split, 100)} for split in ("train", "val", "test")]
    assert all(rooms) and rooms[0].isdisjoint(rooms[1] | rooms[2]) and rooms[1].isdisjoint(rooms[2])


def test_missing_pyroomacoustics_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    with pytest.raises(UserError, match="pip install 'ofa-avse\\[rooms\\]'"):
        image_response.__wrapped__(0, 0)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"conditions": ["rain"]}, "data.conditions: 'rain' is none of coloured"),
        ({"conditions": ["noise", "noise"]}, "data.conditions: names one twice"),
        ({"interferers": [0, 1]}, "data.interferers: must be the lowest and the highest value, between 1 and 3"),
        ({"interferers": [3, 2]}, "data.interferers: "),
        ({"babble": [3]}, "data.babble: "),
        ({"level_db": [3, -3]}, "data.level_db: "),
        ({"onset": 1.5}, "data.onset: must lie in"),
        ({"rooms": "image"}, "data.rooms: 'image' is not heard; set data.reverberation"),
        ({"lip_degradation": -0.1}, "data.lip_degradation: must lie in"),
        ({"lip_degradations": ["blurred"]}, "data.lip_degradations: 'blurred' is none of black"),
        ({"lip_degradation": 0.1, "lip_degradations": []}, "data.lip_degradations: is empty"),
    ],
)
def test_bad_settings_name_their_key(change, message):
    with pytest.raises(UserError, match=message):
        DataSettings(**change)


def test_a_corpus_notes_new_settings_only_where_they_are_set(small_corpus, tmp_path):
    noted = json.loads((small_corpus.folder / "settings.json").read_text())
    assert not set(noted) & {"conditions", "rooms", "onset", "level_db", "lip_degradation", "babble", "interferers"}
    unchanged = {k: v for k, v in asdict(DataSettings()).items() if k in noted and k != "synthetic"}
    synthetic = type(DataSettings().synthetic)(**noted["synthetic"])
    settings = DataSettings(**unchanged | {k: noted[k] for k in unchanged}, synthetic=synthetic)
    assert build(replace(settings, lip_degradation=0.5), small_corpus.folder).hash == small_corpus.hash
    with pytest.raises(UserError, match="data.onset"):
        build(replace(settings, onset=0.5), small_corpus.folder)
