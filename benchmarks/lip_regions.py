"""How well lip regions are found in the full frames of GRID, on one core:

    .venv/bin/python benchmarks/lip_regions.py --data DIR

DIR/<speaker>/<clip>, ten clips a speaker where there are as many. Beside them 200 frames of all speakers, drawn with a
seed before anything was found in them and marked by hand, benchmarks/grid_mouths.csv: clip, frame at 25 a second, and
the midpoint between the corners of the mouth, in pixels from the middle of the first one.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from supernet.data.lips.find import Mouths, find_mouths
from supernet.errors import UserError
from supernet.media.names import VIDEO_SUFFIXES
from supernet.media.pictures import read_frames
from supernet.space import REGION

MARKS = Path(__file__).with_name("grid_mouths.csv")
GRID_WIDTH = 360  # pixels of its frames; larger copies are measured as if they had as many


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of speakers with their videos")
    parser.add_argument("--clips", type=int, default=10, help="of each speaker, drawn with the seed")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if not options.data.is_dir():
        raise SystemExit(f"--data: no such folder: {options.data}")
    with MARKS.open() as file:
        marks = list(csv.DictReader(file))
    clips = draw(options.data, options.clips, options.seed)
    found: dict[str, Mouths] = {}
    refused, frames, spent = [], 0, 0.0
    for clip in sorted({*clips, *(mark["clip"] for mark in marks)}):
        begun = time.process_time()
        try:
            found[clip] = find_mouths(options.data / clip)
            frames += len(found[clip])
        except UserError as error:
            refused.append(str(error))
        spent += time.process_time() - begun
    scales = {clip: next(read_frames(options.data / clip)).shape[1] / GRID_WIDTH for clip in found}
    drawn = [clip for clip in clips if clip in found]
    print(f"{len(clips)} clips of {len({clip.split('/')[0] for clip in clips})} speakers, {len(refused)} refused")
    print(*refused, sep="\n", end="\n" if refused else "")
    print(f"{1e3 * spent / frames:.2f} ms of one core a frame, decoding included")
    seen = np.concatenate([found[clip].seen for clip in drawn])
    print(f"face found without interpolation: {100 * seen.mean():.2f} % of {len(seen)} frames")
    far = np.concatenate([astray(found[clip]) / scales[clip] for clip in drawn])
    print(f"within 12 pixels of the clip's median: {100 * (far <= 12).mean():.2f} %, farthest {far.max():.1f}")
    steps = np.concatenate([jitter(found[clip]) for clip in drawn])
    print(f"jitter, median step at {REGION} x {REGION}: {np.median(steps):.3f} pixels")
    by_speaker = defaultdict(list)
    for mark in marks:
        if mark["clip"] in found:
            by_speaker[mark["clip"].split("/")[0]].append(error_of(found[mark["clip"]], mark))
    errors = np.concatenate([np.array(values) for values in by_speaker.values()])
    print(
        f"{len(errors)} of {len(marks)} hand marks at {REGION} x {REGION}: median error {np.median(errors):.2f}, "
        f"90 % within {np.percentile(errors, 90):.2f}, largest {errors.max():.2f} pixels"
    )
    print("  " + ", ".join(f"{name} {np.median(values):.1f}" for name, values in sorted(by_speaker.items())))


def draw(root: Path, count: int, seed: int) -> list[str]:
    """Clips of all speakers, `count` of each, or all that there are."""
    generator = np.random.default_rng(seed)
    clips = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
        clips += [f"{folder.name}/{names[n]}" for n in generator.permutation(len(names))[:count]]
    return clips


def astray(mouths: Mouths) -> np.ndarray:
    """Distance from the clip's median, pixels of the frame, (frames,)."""
    return np.hypot(mouths.x - np.median(mouths.x), mouths.y - np.median(mouths.y))


def jitter(mouths: Mouths) -> np.ndarray:
    """Movement from frame to frame, pixels of the region, (frames - 1,)."""
    return np.hypot(np.diff(mouths.x), np.diff(mouths.y)) * (REGION / 2) / mouths.half_side[1:]


def error_of(mouths: Mouths, mark: dict[str, str]) -> float:
    """Distance from a hand mark, pixels of the region."""
    mouth = mouths[int(mark["frame"])]
    distance = np.hypot(mouth.x - float(mark["x"]) - 0.5, mouth.y - float(mark["y"]) - 0.5)
    return float(distance * (REGION / 2) / mouth.half_side)


if __name__ == "__main__":
    main()
