"""Damaged media files by the thousand: does anything crash, hang, eat memory, or lose sound without a word?

    .venv/bin/python benchmarks/fuzzing.py --inputs 2000 --seed 0

Makes a recording in ten containers, damages it (bits flipped, bytes replaced, removed, repeated, headers changed, cut),
and reads each as `enhance` does, in worker processes, with pictures where there are any. Every input must give a sound,
or one UserError, within 30 s, with at most 300 MiB more memory than the undamaged file takes. What the `ffmpeg` program
decodes must be there, or be said to be missing, to 0.1 s; without the program that is left out.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for what the tests make

from supernet.deploy.enhance import Wanted, enhance_file
from supernet.errors import UserError
from supernet.media.pictures import read_frames
from supernet.processes import WorkerDied, WorkerPool
from tests.supernet.data.conftest import encode_video
from tests.supernet.media.making import encoded, speech, wav

SECONDS = 3.0
MOST_TIME, MOST_MEMORY, MOST_LOST = 30.0, 300.0, 0.1  # s, MiB, s
BEFORE_DECODING = (  # reasons for which a file is refused before it is decoded
    *("cannot be read", "no audio track", "no known format", "sampling rate", "channels", "claims", "empty"),
    "neither sound nor video",
)


class Network(torch.nn.Module):
    """Gives back what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, mixture: torch.Tensor, lips: torch.Tensor | None) -> torch.Tensor:
        return mixture * self.gain


class Tried(NamedTuple):
    """What became of one input."""

    seconds: float  # written
    missing: float  # said to be missing
    words: str  # what was said, or the error
    error: bool
    took: float  # s
    memory: float  # MiB, of the process at most


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that fell")
    options = parser.parse_args()
    draw, counts, faults = random.Random(options.seed), Counter(), []
    with tempfile.TemporaryDirectory() as name, WorkerPool(1) as pool:
        folder = Path(name)
        kinds = recordings(folder)
        usual = {}
        for kind, content in kinds.items():
            (folder / kind).write_bytes(content)
            usual[kind] = [pool.submit(tried, folder / kind, time_limit=MOST_TIME).result() for _ in range(2)][-1]
        begun = time.monotonic()
        for number in range(options.inputs):
            kind = list(kinds)[number % len(kinds)]
            how, content = damaged(kinds[kind], draw)
            path = folder / f"input.{kind}"
            path.write_bytes(content)
            fault = ""
            try:
                result = pool.submit(tried, path, time_limit=MOST_TIME).result()
                counts["refused" if result.error else "said" if result.words else "silent"] += 1
                if result.memory - usual[kind].memory > MOST_MEMORY:
                    fault = f"{result.memory - usual[kind].memory:.0f} MiB more"
                decoded = by_ffmpeg(path)
                lost = decoded - result.seconds - result.missing
                if lost > MOST_LOST and not result.error:
                    fault = f"{lost:.2f} s lost of {decoded:.2f}: {result.words or 'nothing said'}"
                if result.error and decoded > 0.5:
                    counts["refused where ffmpeg decodes half a second and more"] += 1
                    if not any(reason in result.words for reason in BEFORE_DECODING):
                        fault = f"refused, ffmpeg decodes {decoded:.2f} s: {result.words}"
            except TimeoutError:
                fault = f"over {MOST_TIME:g} s"
            except WorkerDied as error:
                fault = f"died: {error}"
            except Exception as error:
                fault = f"{type(error).__name__}: {error}"
            if fault:
                faults.append(f"input {number}, {kind}, {how}: {fault}")
                print(faults[-1], flush=True)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, options.keep / f"{number}.{kind}")
            if number % 200 == 199:
                left = (time.monotonic() - begun) / (number + 1) * (options.inputs - number - 1)
                print(f"{number + 1} of {options.inputs}, {left / 60:.1f} min left", file=sys.stderr, flush=True)
    print(f"{options.inputs} inputs of {len(kinds)} containers: {len(faults)} faults; {dict(counts)}")
    return 1 if faults else 0


def recordings(folder: Path) -> dict[str, bytes]:
    """The same speech in ten containers, two of them with pictures."""
    wave, wave_44, wave_48 = (speech(SECONDS, rate) for rate in (16_000, 44_100, 48_000))
    films = {}
    for suffix in ("mp4", "mkv"):
        encode_video(folder / f"film.{suffix}", frames=int(25 * SECONDS), sound=wave)
        films[suffix] = (folder / f"film.{suffix}").read_bytes()
    return films | {
        "wav": wav(wave, 16_000),
        "flac": encoded("flac", "flac", [wave_44], 44_100),
        "mp3": encoded("mp3", "libmp3lame", [wave_44], 44_100),
        "ogg": wav(wave_44, 44_100, "VORBIS", "OGG"),
        "opus": encoded("ogg", "libopus", [wave_48], 48_000),
        "webm": encoded("webm", "libopus", [wave_48], 48_000),
        "m4a": encoded("ipod", "aac", [wave_44], 44_100),
        "ts": encoded("mpegts", "aac", [wave_44], 44_100),
    }


def damaged(content: bytes, draw: random.Random) -> tuple[str, bytes]:
    """How, and the damaged file."""
    mutable, size = bytearray(content), len(content)
    how = draw.choice(["flips", "header", "replaced", "removed", "repeated", "cut", "zeroed"])
    at, length = draw.randrange(size), draw.choice([1, 16, 256, 2048, size // 8])
    match how:
        case "flips":
            for _ in range(draw.choice([1, 10, 100])):
                mutable[draw.randrange(size)] ^= 1 << draw.randrange(8)
        case "header":
            for _ in range(draw.choice([1, 4, 16])):
                mutable[draw.randrange(min(size, 1024))] = draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])
        case "replaced":
            mutable[at : at + length] = draw.randbytes(len(mutable[at : at + length]))
        case "removed":
            del mutable[at : at + length]
        case "repeated":
            mutable[at:at] = mutable[at : at + length]
        case "zeroed":
            mutable[at : at + length] = bytes(len(mutable[at : at + length]))
        case "cut":
            del mutable[at:]
    return f"{how} at {at} of {size}", bytes(mutable)


def tried(path: Path) -> Tried:
    """In a worker: read it as `enhance` does, sound and pictures."""
    Path("/proc/self/clear_refs").write_text("5")  # the most memory counts from here
    begun, said = time.monotonic(), []
    goal = path.with_name("output.wav")
    goal.unlink(missing_ok=True)
    error, written, missing = False, 0.0, 0.0
    try:
        from supernet.deploy import enhance

        enhance.say = said.append
        enhance_file(Network(), path, goal, Wanted(no_lips=True))
        written = (goal.stat().st_size - 44) / 2 / 16_000
        if path.suffix in (".mp4", ".mkv"):
            for _ in read_frames(path):
                pass
    except UserError as refusal:
        error = not written
        said.append(str(refusal))
    words = "; ".join(words for words in said if not re.search(r"on the CPU$", words))
    if reported := re.search(r"([\d.]+) s are missing", words):
        missing = float(reported[1])
    status = Path("/proc/self/status").read_text()
    memory = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
    return Tried(written, missing, words, error, time.monotonic() - begun, memory)


def by_ffmpeg(path: Path) -> float:
    """Seconds of sound that the program decodes; 0 without it."""
    if shutil.which("ffmpeg") is None:
        return 0.0
    command = ["ffmpeg", "-v", "quiet", "-nostdin", "-i", str(path), "-map", "0:a:0", "-f", "s16le", "-ar", "16000"]
    with open(os.devnull) as nothing:
        done = subprocess.run([*command, "-ac", "1", "-"], stdin=nothing, capture_output=True, timeout=60)
    return len(np.frombuffer(done.stdout[: len(done.stdout) // 2 * 2], np.int16)) / 16_000


if __name__ == "__main__":
    raise SystemExit(main())
