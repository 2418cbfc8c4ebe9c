"""Two faces in one picture: is the one that talks found, and does each get its own voice?

    .venv/bin/python benchmarks/two_faces.py --data VIDEOS --noise NOISE

`VIDEOS` holds `<speaker>/<clip>.mp4`, `NOISE` recordings of noise. Composes clips of 1280 x 720 pixels:

- One talks, at 5 dB of noise, half of them in babble at 0 dB besides; the other is still, or idles. The talker is left,
  right, larger, smaller, or both move. Counts how often the face that talks is chosen.
- Two talk, of different voices where --pairs names them, one as loud as the other: `--face all` gives two results.
  Counts in how many clips both are nearer to their own talker than to the other, in SI-SNR, and by how much.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import soundfile

from eval.metrics import si_snr
from supernet import load
from supernet.deploy.enhance import Wanted, enhance_file
from supernet.deploy.lips import talkers
from supernet.media.names import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from supernet.media.sound import Sound, read_audio
from supernet.models import SMALL
from supernet.timing import FRAME_RATE, SAMPLE_RATE

SIZE = (1280, 720)
KINDS = ("left", "right", "larger", "smaller", "moving")
IDLE = 7  # pictures at a clip's beginning, before anything is said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="<speaker>/<clip>.mp4")
    parser.add_argument("--noise", type=Path, required=True, help="recordings of noise")
    parser.add_argument("--clips", type=int, default=20, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", nargs=2, metavar=("LOW", "HIGH"), help="speakers of low and of high voices, a,b,c")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    clips = {
        folder.name: sorted(path for path in folder.iterdir() if path.suffix in VIDEO_SUFFIXES)
        for folder in sorted(options.data.iterdir())
        if folder.is_dir()
    }
    noises = sorted(path for path in options.noise.rglob("*") if path.suffix in AUDIO_SUFFIXES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "two.mp4"
        right = sum(one_talks(path, number, clips, noises, draw) for number in range(options.clips))
        print(f"the face that talks is chosen in {right} of {options.clips}")
        low, high = (names.split(",") for names in options.pairs) if options.pairs else (list(clips), list(clips))
        nearer = np.array([two_talk(path, clips, low, high, draw) for _ in range(options.clips)])
    print(f"two talk: nearer to the own talker than to the other by {nearer.mean():.1f} dB, "
          f"both in {(nearer > 0).all(1).sum()} of {options.clips}")  # fmt: skip
    return 0


def one_talks(path: Path, number: int, clips: dict[str, list[Path]], noises: list[Path], draw: random.Random) -> bool:
    """Compose a clip, and whether the right face is chosen in it."""
    who, other = (draw.choice(clips[name]) for name in draw.sample(list(clips), 2))
    kind, idles, babble = KINDS[number % 5], number // 5 % 2, number % 2
    talking, still = pictures(who), pictures(other)[:IDLE]
    waiting = ([*still, *still[-2:0:-1]] if idles else still[:1]) * len(talking)
    on_the_right = kind == "right" or (kind != "left" and draw.random() < 0.5)
    sizes = {"larger": (1.7, 1.1), "smaller": (1.1, 1.7)}.get(kind, (1.5, 1.5))
    composed = side_by_side(talking, waiting, on_the_right, sizes, moving=kind == "moving")
    speech = read_audio(who)
    mixture = speech + at_level(read_audio(draw.choice(noises)), speech, -5)
    if babble:
        voices = [draw.choice(clips[name]) for name in draw.sample(list(clips), 5)]
        mixture += at_level(sum(at_level(read_audio(voice), speech, 0) for voice in voices), speech, 0)
    write(path, composed, mixture)
    (chosen,) = talkers(path, Sound.open(path))
    found = f"on the {'right' if on_the_right else 'left'}" in "".join(chosen.words)
    noise = "noise and babble" if babble else "noise"
    print(f"{who.parent.name} beside {other.parent.name}, {kind}, {noise}: {'right' if found else 'WRONG'}", flush=True)
    return found


def two_talk(
    path: Path, clips: dict[str, list[Path]], low: Sequence[str], high: Sequence[str], draw: random.Random
) -> tuple[float, float]:
    """By how much each result is nearer to its own talker, dB."""
    first = draw.choice(low)
    pair = [draw.choice(clips[name]) for name in (first, draw.choice([name for name in high if name != first]))]
    voices = [read_audio(clip) for clip in pair]
    voices[1] = at_level(voices[1], voices[0], 0)
    write(path, side_by_side(*map(pictures, pair), False, (1.5, 1.5)), voices[0] + voices[1])
    results = enhance_file(load(SMALL), path, path.parent, Wanted(face="all"))
    nearer = []
    for result, own, other in zip(results, voices, voices[::-1], strict=True):
        estimate, _ = soundfile.read(result, dtype="float32")
        length = min(len(estimate), len(own))
        nearer.append(apart(estimate[:length], own[:length]) - apart(estimate[:length], other[:length]))
    print(f"{pair[0].parent.name} and {pair[1].parent.name}: {nearer[0]:.1f} and {nearer[1]:.1f} dB nearer", flush=True)
    return nearer[0], nearer[1]


def apart(estimate: np.ndarray, reference: np.ndarray) -> float:
    import torch

    return float(si_snr(torch.from_numpy(estimate)[None], torch.from_numpy(reference)[None]))


def at_level(wave: np.ndarray, beside: np.ndarray, db: float) -> np.ndarray:
    """`wave` as long as another sound, and so much louder than that."""
    wave = np.resize(wave, len(beside))
    return wave * np.sqrt(np.square(beside).mean() / np.square(wave).mean()) * 10 ** (db / 20)


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(width=360, height=288, format="rgb24") for frame in container.decode(video=0)]


def side_by_side(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    swapped: bool,
    sizes: tuple[float, float],
    moving: bool = False,
) -> Iterator[np.ndarray]:
    """Two films in one, the first on the left unless swapped; the talker's lasts as long as the whole."""
    places = (680, 30) if swapped else (30, 680)
    for time, pair in enumerate(zip(first, second, strict=False)):
        whole = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
        sway = (round(60 * np.sin(time / 12)), round(25 * np.sin(time / 9))) if moving else (0, 0)
        for picture, size, x, sign in zip(pair, sizes, places, (1, -1), strict=True):
            small = cv2.resize(picture, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)
            height, width = small.shape[:2]
            left, top = (
                int(np.clip(at + sign * shift, 0, most))
                for at, shift, most in ((x, sway[0], SIZE[0] - width), (140, sway[1], SIZE[1] - height))
            )
            whole[top : top + height, left : left + width] = small
        yield whole


def write(path: Path, frames: Iterator[np.ndarray], wave: np.ndarray) -> None:
    wave = (0.5 * wave / np.abs(wave).max()).astype(np.float32)
    with av.open(str(path), "w") as container:
        track = container.add_stream("libx264", rate=FRAME_RATE, options={"crf": "20", "preset": "ultrafast"})
        track.width, track.height, track.pix_fmt = *SIZE, "yuv420p"
        sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for frame in frames:
            container.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(track.encode(None))
        block = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        block.sample_rate, block.time_base, block.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), 0
        container.mux(sound.encode(block))
        container.mux(sound.encode(None))


if __name__ == "__main__":
    raise SystemExit(main())
