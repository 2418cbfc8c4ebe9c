"""Miniatures of public corpora, in their layouts: names and metadata as published, a few short clips each.

`Names` makes empty files, for what only looks at names; `Drawn` makes drawn faces and noise that sounds like syllables.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
TALKS = [f"{letter}Fi83BHQsM{letter}" for letter in "abcdefgh"]  # 11 characters, as LRS3 has them


class Names:
    """Files without content."""

    def video(self, path: Path, sound: bool = True) -> None:
        self._touch(path)

    def sound(self, path: Path, wave: np.ndarray | None = None, rate: int = RATE) -> np.ndarray:
        self._touch(path)
        return np.zeros(1)

    def lips(self, path: Path, frames: int) -> None:
        self._touch(path)

    def _touch(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


class Drawn(Names):
    """One-second clips. `face` draws a picture, `encode` writes a video, `voice` makes a sound."""

    def __init__(self, face: Callable, encode: Callable, voice: Callable) -> None:
        self.face = cache(lambda index: face(index)[28:252, 68:292])  # 224 x 224, as face tracks are
        self.encode, self.voice = encode, voice
        self.generators = map(np.random.default_rng, count())

    def video(self, path: Path, sound: bool = True) -> None:
        self._touch(path)
        wave = self.voice(next(self.generators), RATE) if sound else None
        self.encode(path, sound=wave, draw=self.face)

    def sound(self, path: Path, wave: np.ndarray | None = None, rate: int = RATE) -> np.ndarray:
        self._touch(path)
        wave = self.voice(next(self.generators), rate) if wave is None else wave
        soundfile.write(path, wave, rate, format=path.suffix[1:].upper())
        return wave

    def lips(self, path: Path, frames: int) -> None:
        self._touch(path)
        np.save(path, np.random.default_rng(0).integers(0, 256, (67 * 67, frames), dtype=np.uint8))


def folders(root: Path, media: Names) -> None:
    """Any videos, and speech and noise beside them."""
    for speaker in ("ann", "bob", "cem", "dan"):
        for clip in range(4):
            media.video(root / f"videos/{speaker}/{clip}.mp4")
    for speaker in range(24):
        media.sound(root / f"speech/{speaker}-1-0000.wav")
    for kind in ("rain", "dog_bark"):
        for recording in range(3):
            media.sound(root / f"noise/{kind}_1-{recording}{recording}-A.wav")


def lrs3(root: Path, media: Names) -> None:
    for part, talks in (("pretrain", TALKS[:4]), ("trainval", TALKS[:3]), ("test", TALKS[6:])):
        for talk in talks:
            for number in (1, 2):
                media.video(root / part / talk / f"0000{number}.mp4")
                (root / part / talk / f"0000{number}.txt").write_text(
                    "Text:  IT IS\nConf:  3\n\nWORD START END ASDSCORE\nIT 0.10 0.20 8.1\nIS 0.20 0.31 7.9\n"
                )


def wham(root: Path, media: Names) -> None:
    columns = ["utterance_id", "Noise Band", "File ID", "L to R Width (cm)", "Reverberation Level", "Location ID"]
    (root / "wham_noise/metadata").mkdir(parents=True)
    for part in ("tr", "cv", "tt"):
        names = [f"01aa010{letter}_1.3053_01po0310_-1.3053.wav" for letter in "ab"]
        for name in names:
            stereo = np.stack([media.sound(root / "wham_noise" / part / name)] * 2, axis=1)
            media.sound(root / "wham_noise" / part / name, stereo)
        with (root / f"wham_noise/metadata/noise_meta_{part}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow([*columns, "Location Day ID"])
            table.writerows([name, 1, "f1", "17 cm", "l", "l1", "d1"] for name in names)


def cec2(root: Path, media: Names) -> None:
    """44.1 kHz."""
    noise, music, speech = [], [], []
    for part, first in (("train", 1), ("dev", 5)):
        for number in range(first, first + 3):
            for name, class_ in ((f"CIN_fan_00{number}", "ElectricFan"), (f"CIN_dishwasher_00{number}", "Dishwasher")):
                source = {"source": "Freesound", "file": f"https://freesound.org/{number}", "type": "noise"}
                noise.append({"ID": name, "class": class_, "dataset": part, "nsamples": 44_100, "fs": 44_100} | source)
                media.sound(root / f"{part}/interferers/noise/{name}.wav", rate=44_100)
            song = {"track": f"track_000094{number}", "artist": f"artist_{number}", "album": "album_1", "type": "music"}
            music.append(song | {"file": f"4{number}/94{number}.low.mp3", "dataset": part, "nsamples": 44_100})
            media.sound(root / f"{part}/interferers/music/4{number}/94{number}.low.mp3", rate=44_100)
            reader = f"irm_0248{number}"
            utterances = {"utterances": [f"{reader}_01482445417"], "type": "speech", "fs": 44_100}
            speech.append(utterances | {"speaker": reader, "dataset": part, "nsamples": 44_100})
            media.sound(root / f"{part}/interferers/speech/{reader}.wav", rate=44_100)
    for name, rows in (("nonspeech", noise), ("music", music), ("speech", speech)):
        path = root / f"metadata/masker_{name}_list.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(rows))


def avsec3(root: Path, media: Names) -> None:
    def masker(number: int) -> dict:
        kind = ("noise", "speech")[number % 2]
        name = f"CIN_fan_{number:03}" if kind == "noise" else f"{number:03}83BHQsMAB"
        return {"interferer": {"type": kind, "time_start": 0, "time_end": RATE, "name": name, "offset": 0}}

    _scenes(root, media, masker, ("mixed", "target", "interferer"))


def avsec4(root: Path, media: Names) -> None:
    """With mono files, but for the first scene of each part, whose mixture is binaural alone."""
    kinds = (["noise"], ["music"], ["speech"], ["noise", "speech"])
    names = {"noise": "CIN_fan_{:03}.wav", "music": "song_{:03}.wav", "speech": "{:03}83BHQsMAB.wav"}

    def masker(number: int) -> dict:
        entry = {"position": 1, "time_start": 0, "time_end": RATE, "offset": 0}
        entries = [entry | {"type": kind, "name": names[kind].format(number)} for kind in kinds[number % 4]]
        return {"interferers": entries, "listener": {"hrir_filename": ["KEMAR-ED"]}, "room": "R00001"}

    _scenes(root, media, masker, ("mono_mix", "target_mono", "interferer_mono"))
    for part, scene in (("train", "S00001"), ("dev", "S34526")):
        folder = root / part / "scenes"
        (folder / f"{scene}_mono_mix.wav").unlink()
        target, interferer = (media.sound(folder / f"{scene}_{name}_mono.wav") for name in ("target", "interferer"))
        for name, wave in (("target", target), ("interferer", interferer), ("mix", target + interferer)):
            media.sound(folder / f"{scene}_{name}.wav", np.stack([wave, 0.5 * wave], axis=1))
        media.sound(folder / f"{scene}_target_anechoic.wav")


def ntcd_timit(root: Path, media: Names) -> None:
    """Lip pictures for some speakers, videos for others; the last two are test speakers of the corpus."""
    for number, speaker in enumerate(("01M", "02M", "03F", "04M", "09F", "24M")):
        for utterance in ("sa1", "sx123"):
            below = f"volunteers/{speaker}/straightcam/{utterance}"
            clean = media.sound(root / f"Clean/{below}.wav")
            for noise in ("Babble", "Car"):
                for snr_db in (-5, 20):
                    gain = 10 ** (-snr_db / 20)
                    media.sound(root / f"{noise}/{snr_db}/{below}.wav", (clean + gain * clean[::-1]) / (1 + gain))
            if number % 2:
                media.lips(root / f"Raw/{speaker}/{utterance}Raw.npy", frames=30)
            else:
                media.video(root / f"volunteers/{speaker}/Clips/straightcam/{utterance}.mp4", sound=False)


def _scenes(root: Path, media: Names, masker: Callable[[int], dict], endings: tuple[str, str, str]) -> None:
    """Eight scenes to train and eight of dev, each target speaker in two; two of eval, which has no targets."""
    (root / "metadata").mkdir(parents=True)
    for part, first in (("train", 1), ("dev", 34_526)):
        rows = []
        for number in range(8):
            scene, talk = f"S{first + number:05}", TALKS[number % 4 + (4 if part == "dev" else 0)]
            target = {"name": f"trainval/{talk}/0000{number}", "time_start": 0, "time_end": RATE}
            row = {"dataset": part, "scene": scene, "target": target, "duration": RATE, "SNR": -5.0 + number}
            rows.append(row | {"pre_samples": 0, "post_samples": 0} | masker(number + (100 if part == "dev" else 0)))
            folder = root / part / "scenes"
            clean = media.sound(folder / f"{scene}_{endings[1]}.wav")
            noise = media.sound(folder / f"{scene}_{endings[2]}.wav")
            media.sound(folder / f"{scene}_{endings[0]}.wav", clean + noise)
            media.video(folder / f"{scene}_silent.mp4", sound=False)
        (root / f"metadata/scenes.{part}.json").write_text(json.dumps(rows))
    for scene in ("S50001", "S50002"):
        media.sound(root / f"eval/scenes/{scene}_{endings[0]}.wav")
        media.video(root / f"eval/scenes/{scene}_silent.mp4", sound=False)
