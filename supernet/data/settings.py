"""Settings of the data: which corpus, where it lies, how it is split, and how its mixtures are drawn.

Part of every command's configuration (`--data.<field>`); read by `supernet.data.corpora` and `supernet.data.mixtures`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from supernet.data.synthetic import SyntheticSettings
from supernet.errors import UserError
from supernet.timing import FRAME_RATE


@dataclass
class DataSettings:
    """Where training, validation and test mixtures come from.

    Args:
        corpus: `synthetic` talkers, made on the spot, or real recordings laid out like `grid`.
        folder: where the prepared corpus is written; the run's own folder when not given.
        root: videos of talkers, `root/<speaker>/*.mp4` (or .mpg, .avi); for `grid`.
        speech: folder of speech recordings for babble and competing talkers; for `grid`.
        noise: folder of noise recordings; for `grid`.
        lip_region: how the mouth is found in videos: `detect` looks for the talker's face, `face_track` takes the
            middle of videos that follow a face already, as in LRS3 and AVSEC, `landmarks` asks MediaPipe.
        landmark_model: file of MediaPipe's face landmarker (.task); for `landmarks`.
        seed: decides splits, lists and training mixtures.
        snr_min: lowest signal-to-noise ratio, dB.
        snr_max: highest signal-to-noise ratio, dB.
        reverberation: put target and maskers into synthetic rooms; the target of training stays dry.
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

    corpus: Literal["synthetic", "grid"] = "synthetic"
    folder: str | None = None
    root: str | None = None
    speech: str | None = None
    noise: str | None = None
    lip_region: Literal["detect", "face_track", "landmarks"] = "detect"
    landmark_model: str | None = None
    seed: int = 0
    snr_min: float = -5.0
    snr_max: float = 5.0
    reverberation: bool = False
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
        if not 0 <= self.balance <= 1:
            raise UserError(f"data.balance: must lie in [0, 1], but is {self.balance:g}")
        for name in ("seed", "test_clips", "val_clips", "held_out_speakers", "other_items", "loaders"):
            if getattr(self, name) < 0:
                raise UserError(f"data.{name}: must not be negative, but is {getattr(self, name)}")
        if self.lip_region == "landmarks" and self.landmark_model is None:
            raise UserError("data.landmark_model: not given; name MediaPipe's file, or use data.lip_region: detect")
        whole_frames(self.list_seconds, "data.list_seconds")


def whole_frames(seconds: float, key: str) -> int:
    """Video frames in `seconds`. Raises UserError naming `key` unless that is a whole, positive number of frames."""
    if not math.isfinite(seconds):
        raise UserError(f"{key}: must be finite, not {seconds:g}")
    frames = round(seconds * FRAME_RATE)
    if frames < 1 or abs(frames - seconds * FRAME_RATE) > 1e-6:
        raise UserError(f"{key}: {seconds:g} s must be a positive multiple of {1 / FRAME_RATE:g} s, one video frame")
    return frames
