"""Names are read as public corpora write them, and no speaker or noise recording crosses a split."""

from collections import defaultdict
from pathlib import Path

import pytest

from supernet.data.corpus import Clip
from supernet.data.recordings.names import noise_kind, speech_speaker
from supernet.data.recordings.splits import assign
from supernet.data.settings import DataSettings


@pytest.mark.parametrize(
    ("name", "speaker"),
    [
        ("103/1240/103-1240-0000.flac", "librispeech_103"),
        ("librispeech/trainclean_103-1240-0000.flac", "librispeech_103"),
        ("LibriTTS/103/1240/103_1240_000000_000001.wav", "librispeech_103"),
        ("vctk/p225_003.flac", "vctk_p225"),
        ("p225_003_mic1.flac", "vctk_p225"),
        ("04b09ada-5dcc-491a-ae95-fe4e4993869e.flac", "04b09ada-5dcc-491a-ae95-fe4e4993869e"),
    ],
)
def test_speakers_of_public_corpora(name, speaker):
    assert speech_speaker(Path(name)) == speaker


@pytest.mark.parametrize(
    ("name", "kind", "recording"),
    [
        ("esc10/baby_cry_1-211527-A.flac", "baby_cry", "esc_211527"),
        ("rain/1-17367-A-10.wav", "rain", "esc_17367"),
        ("nonspeech100/n29.flac", "alarm", "nonspeech_n29"),
        ("ambience/birds_0.flac", "birds", "ambience_birds"),
        ("ambience/birds1.flac", "birds", "ambience_birds1"),
        ("kitchen/0007.wav", "kitchen", "kitchen_0007"),
        ("0007.wav", "noise", "_0007"),
        ("DEMAND/TBUS/ch01.wav", "transport", "demand_TBUS"),
        ("DEMAND/TBUS/ch16.wav", "transport", "demand_TBUS"),
        ("backgrounds/BGD_150203_010_CAF.CH1.wav", "BGD_150203_010_CAF", "backgrounds_BGD_150203_010_CAF"),
        ("backgrounds/BGD_150203_010_CAF.CH6.wav", "BGD_150203_010_CAF", "backgrounds_BGD_150203_010_CAF"),
    ],
)
def test_kinds_and_recordings_of_noises(name, kind, recording):
    assert noise_kind(Path(name)) == (kind, recording)


def clips():
    def clip(role, name, speaker="", category=""):
        return Clip(f"{role}-{name}", role, "train", speaker, category, "", "", 48_000, 75, f"{name}.wav")

    counts = {"s1": 30, "s2": 9, "s3": 9, "s4": 5, "s5": 1}
    talkers = [clip("talker", f"{speaker}-{n}", speaker) for speaker, count in counts.items() for n in range(count)]
    speech = [clip("speech", f"{s}-1-{n}", f"librispeech_{s}") for s in range(20) for n in range(2)]
    esc = [
        (kind, f"{kind}_1-{kind_number}{n}-{take}")
        for kind_number, kind in enumerate(("rain", "dog"), start=1)
        for n in range(6)
        for take in "AB"
    ]
    noise = [clip("noise", name, category=kind) for kind, name in esc]
    return talkers + speech + noise


def assigned(**changes):
    return assign(clips(), DataSettings(corpus="grid", test_clips=5, val_clips=4, held_out_speakers=2, **changes))


def test_no_speaker_and_no_recording_crosses_a_split():
    splits = defaultdict(set)
    for clip in assigned():
        if clip.role == "noise":
            splits[noise_kind(Path(clip.source))[1]].add(clip.split)
        elif clip.speaker != "s1":
            splits[clip.role, clip.speaker].add(clip.split)
    assert all(len(where) == 1 for where in splits.values())


def test_every_role_and_kind_of_noise_is_in_every_split():
    everywhere = defaultdict(set)
    for clip in assigned():
        everywhere[clip.role, clip.category].add(clip.split)
    assert all(where == {"train", "val", "test"} for where in everywhere.values())


def test_clips_of_the_test_speaker_are_kept_as_asked():
    own = [clip.split for clip in assigned() if clip.speaker == "s1"]
    assert (own.count("test"), own.count("val"), own.count("train")) == (5, 4, 21)
    held_out = {clip.speaker for clip in assigned() if clip.role == "talker" and clip.split == "test"} - {"s1"}
    assert len(held_out) == 2


def test_splits_depend_on_the_seed_and_not_on_the_order_of_files():
    settings = DataSettings(corpus="grid", test_clips=5, val_clips=4, held_out_speakers=2)
    assert assign(reversed(clips()), settings) == assign(clips(), settings)
    assert assigned(seed=1) != assigned()
