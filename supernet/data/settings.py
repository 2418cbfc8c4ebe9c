"""Settings of the data: which corpus, where it lies, how it is split, and how its mixtures are drawn.

Part of every command's configuration (`--data.<field>`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from supernet.data.synthetic.talkers import SyntheticSettings
from supernet.errors import UserError
from supernet.timing import FRAME_RATE

Condition = Literal[
    "coloured",
    "modulated",
    "impulsive",
    "babble",
    "talker",
    "same_talker",
    "ambience",
    "events",
    "noise",
    "music",
    "scene",
]
Degradation = Literal["black", "frozen", "occluded", "low_resolution", "delayed", "dropped"]
MIXING = (  # noted of a corpus, a list or a training only where they are not the default
    "conditions",
    "snr_weighting",
    "interferers",
    "onset",
    "babble",
    "rooms",
    "level_db",
)
DEGRADING = ("lip_degradation", "lip_degradations")


@dataclass(frozen=True)
class DataSettings:
    """Where training, validation and test mixtures come from.

    Args:
        corpus: `synthetic` talkers, made on the spot, or real recordings: `grid`, `lrs3`, `avsec3`, `avsec4` and
            `ntcd_timit` as these corpora are laid out, `folders` for any videos, `<speaker>/<clip>.mp4`.
        folder: where the prepared corpus is written; the run's own folder when not given.
        root: the corpus of talkers; all but `synthetic`.
        speech: folder of speech recordings for babble and competing talkers. Under these conditions `grid` and
            `folders` need it, unless the noise corpus brings speech; elsewhere the corpus has talkers enough.
        noise: folder of noise recordings, or the noise corpus. Only AVSEC brings noise of its own.
        noise_corpus: how `noise` is laid out: any `folder`, `wham`, or `cec2` with noise, music and speech.
        lip_region: how the mouth is found in videos: `detect` looks for the talker's face, `face_track` takes the
            middle of videos that follow a face already, as in LRS3 and AVSEC, `landmarks` asks MediaPipe.
        landmark_model: file of MediaPipe's face landmarker (.task); for `landmarks`.
        seed: decides splits, lists and training mixtures.
        snr_min: lowest signal-to-noise ratio, dB.
        snr_max: highest signal-to-noise ratio, dB.
        reverberation: put target and maskers into rooms; the target of training stays dry.
        rooms: where reverberation comes from: `noise` (decaying noise tails), `image` (shoe-box rooms by image sources;
            needs pip install 'ofa-avse[rooms]') or a folder of impulse responses, a sub-folder a room, copied into the
            corpus and split so that no room is heard in two splits.
        conditions: kinds of mixtures, in equal shares; empty: those of the corpus. `coloured`, `modulated` and
            `impulsive` noise is generated; `ambience` and `events` are recorded noises that stay or come and go,
            `noise` is any of them, `music` those of that category; `babble`, `talker` and `same_talker` are voices;
            `scene` is a mixture as the corpus came with it, with no change of its SNR, room or level.
        snr_weighting: SNR as the ratio of powers, `plain`, or behind the speech-weighting filter of the Clarity and
            AVSE challenges, `speech`.
        interferers: least and most maskers of a mixture, each of a condition of its own; those after the first are up
            to 3 dB louder or softer than it, and their sum has the SNR.
        onset: share of the mixtures whose maskers begin late, at a random moment of the first half, and swell over
            0.5 s at most; SNR then holds from that moment on.
        babble: least and most talkers of `babble`.
        level_db: lowest and highest overall gain of a mixture, dB; one that would clip is scaled down all the same.
        lip_degradation: in training, share of the clips whose lips are degraded.
        lip_degradations: the kinds that take part: pictures that are `black`, `frozen`, `occluded` by a patch, of
            `low_resolution`, `delayed` by up to 200 ms either way, or with frames `dropped`.
        list_seconds: length of each mixture in the fixed lists, a multiple of 0.04 s.
        val_items: mixtures in the validation list.
        test_items: mixtures in the test list.
        other_items: mixtures in the test list of held-out speakers; for `grid`.
        test_speaker: the speaker whose unseen clips are tested; for `grid`.
        test_clips: clips of the test speaker kept for testing; for `grid`.
        val_clips: clips of the test speaker kept for validation; for `grid`.
        held_out_speakers: other speakers that training never sees; for `grid`.
        also: folders of further prepared corpora, whose training clips join those of this one.
        speech_targets: in training, recordings of speech are targets too, without lips.
        balance: how far training favours speakers of few clips: 0 draws clips, 1 speakers, in between a compromise.
        workers: processes that prepare recordings; changes no result.
        loaders: processes that mix training batches ahead; 0 mixes between the steps. Changes no result.
        synthetic: the synthetic voices and sentences.
    """

    corpus: Literal["synthetic", "grid", "folders", "lrs3", "avsec3", "avsec4", "ntcd_timit"] = "synthetic"
    folder: str | None = None
    root: str | None = None
    speech: str | None = None
    noise: str | None = None
    noise_corpus: Literal["folder", "wham", "cec2"] = "folder"
    lip_region: Literal["detect", "face_track", "landmarks"] = "detect"
    landmark_model: str | None = None
    seed: int = 0
    snr_min: float = -5.0
    snr_max: float = 5.0
    reverberation: bool = False
    rooms: str = "noise"
    conditions: list[Condition] = field(default_factory=list)
    snr_weighting: Literal["plain", "speech"] = "plain"
    interferers: list[int] = field(default_factory=lambda: [1, 1])
    onset: float = 0.0
    babble: list[int] = field(default_factory=lambda: [3, 6])
    level_db: list[float] = field(default_factory=lambda: [0.0, 0.0])
    lip_degradation: float = 0.0
    lip_degradations: list[Degradation] = field(default_factory=lambda: list(get_args(Degradation)))
    list_seconds: float = 2.0
    val_items: int = 60
    test_items: int = 200
    other_items: int = 50
    test_speaker: str = "s1"
    test_clips: int = 40
    val_clips: int = 40
    held_out_speakers: int = 4
    also: list[str] = field(default_factory=list)
    speech_targets: bool = False
    balance: float = 0.0
    workers: int = 2
    loaders: int = 0
    synthetic: SyntheticSettings = field(default_factory=SyntheticSettings)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.snr_min) and math.isfinite(self.snr_max)):
            raise UserError(f"data.snr_min, data.snr_max: must be finite, not {self.snr_min:g} and {self.snr_max:g}")
        for name in ("workers", "val_items", "test_items"):
            if getattr(self, name) < 1:
                raise UserError(f"data.{name}: must be at least 1, but is {getattr(self, name)}")
        if self.snr_min > self.snr_max:
            raise UserError(f"data.snr_min: {self.snr_min:g} dB exceeds data.snr_max, {self.snr_max:g}; swap them")
        for name in ("balance", "onset", "lip_degradation"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"data.{name}: must lie in [0, 1], but is {getattr(self, name):g}")
        for name in ("seed", "test_clips", "val_clips", "held_out_speakers", "other_items", "loaders"):
            if getattr(self, name) < 0:
                raise UserError(f"data.{name}: must not be negative, but is {getattr(self, name)}")
        if self.lip_region == "landmarks" and self.landmark_model is None:
            raise UserError("data.landmark_model: not given; name MediaPipe's file, or use data.lip_region: detect")
        whole_frames(self.list_seconds, "data.list_seconds")
        _check_range("interferers", self.interferers, 1, 3)
        _check_range("babble", self.babble, 1, 100)
        _check_range("level_db", self.level_db, -60, 60)
        for name, known in (("conditions", get_args(Condition)), ("lip_degradations", get_args(Degradation))):
            for value in getattr(self, name):
                if value not in known:
                    raise UserError(f"data.{name}: '{value}' is none of {', '.join(known)}")
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise UserError(f"data.{name}: names one twice; name each once")
        if self.lip_degradation and not self.lip_degradations:
            raise UserError("data.lip_degradations: is empty; name a kind, or set data.lip_degradation to 0")
        if self.rooms != "noise" and not self.reverberation:
            raise UserError(f"data.rooms: '{self.rooms}' is not heard; set data.reverberation to true as well")

    @property
    def rooms_folder(self) -> str | None:
        """The folder of given impulse responses, None where rooms are computed."""
        return None if self.rooms in ("noise", "image") else self.rooms

    def changed(self, names: Sequence[str]) -> dict[str, Any]:
        """Those of the named settings that differ from their defaults, which older corpora and runs do not note."""
        defaults = type(self)()
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(defaults, name)}


def _check_range(name: str, values: Sequence[float], least: float, most: float) -> None:
    """Refuse what is no [lowest, highest] within [least, most]."""
    if len(values) != 2 or not least <= values[0] <= values[1] <= most:
        raise UserError(
            f"data.{name}: must be the lowest and the highest value, between {least:g} and {most:g}, "
            f"not {', '.join(f'{value:g}' for value in values) or 'empty'}"
        )


def whole_frames(seconds: float, key: str) -> int:
    """Video frames in `seconds`. Raises UserError naming `key` unless that is a whole, positive number of frames."""
    if not math.isfinite(seconds):
        raise UserError(f"{key}: must be finite, not {seconds:g}")
    frames = round(seconds * FRAME_RATE)
    if frames < 1 or abs(frames - seconds * FRAME_RATE) > 1e-6:
        raise UserError(f"{key}: {seconds:g} s must be a positive multiple of {1 / FRAME_RATE:g} s, one video frame")
    return frames
