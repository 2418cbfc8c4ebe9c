"""Enhance a sound file, a video, or a folder of them, to 16 kHz wav."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import nn
from tqdm import tqdm

from supernet.data.media import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from supernet.deploy.chunks import OVERLAP, LipWindow, enhance_stream
from supernet.deploy.reading import Media, audio_blocks, headers, lip_frames
from supernet.devices import described
from supernet.errors import UserError
from supernet.storage.files import write_atomically
from supernet.timing import FRAME_RATE, SAMPLE_RATE

FindLips = Callable[[Path], Iterator[np.ndarray]]
SUFFIXES = (*AUDIO_SUFFIXES, *VIDEO_SUFFIXES, ".m4a", ".opus")
MARK = ".enhanced.wav"
SHORTFALL = 0.5  # seconds by which a video may end before the sound without a word about it


def enhance(
    network: nn.Module,
    source: Path | str,
    output: Path | str | None = None,
    lips: Path | str | None = None,
    no_lips: bool = False,
    chunk_seconds: float = 8.0,
    find_lips: FindLips = lip_frames,
) -> list[Path]:
    """Enhance a file, or every media file of a folder; see `enhance_file` and `enhance_folder`."""
    if Path(source).is_dir():
        if lips is not None:
            raise UserError(f"lips: one video cannot serve the folder {source}; enhance its files one by one")
        return enhance_folder(network, source, output, no_lips, chunk_seconds, find_lips)
    return [enhance_file(network, source, output, lips, no_lips, chunk_seconds, find_lips)]


def enhance_folder(
    network: nn.Module,
    folder: Path | str,
    output: Path | str | None = None,
    no_lips: bool = False,
    chunk_seconds: float = 8.0,
    find_lips: FindLips = lip_frames,
) -> list[Path]:
    """Enhance every media file of `folder` into the folder `output`, by default beside the sources.

    Raises UserError at the end, naming each file that failed and why; the others are written all the same.
    """
    folder, target = Path(folder), Path(output or folder)
    candidates = (path for path in folder.iterdir() if not path.name.startswith(".") and not path.name.endswith(MARK))
    files = sorted(path for path in candidates if path.is_file())
    sources = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not sources:
        raise UserError(f"{folder}: holds no sound or video file ({' '.join(SUFFIXES)})")
    if target.exists() and not target.is_dir():
        raise UserError(f"{target}: is a file; give a folder for the files of {folder}")
    if len(files) > len(sources):
        others = ", ".join(path.name for path in files if path not in sources)
        _say(f"{folder}: left out, neither sound nor video by name: {others}")
    written: dict[Path, Path] = {}
    failures = []
    for source in sources:
        goal = target / (source.stem + MARK)
        try:
            if goal in written:
                raise UserError(f"{source}: would overwrite what {written[goal].name} gave; enhance it by itself")
            written[enhance_file(network, source, goal, None, no_lips, chunk_seconds, find_lips)] = source
        except UserError as error:
            _say(str(error))
            failures.append(str(error))
    if failures:
        raise UserError(f"{folder}: {len(failures)} of {len(sources)} files failed: " + "; ".join(failures))
    return list(written)


def enhance_file(
    network: nn.Module,
    source: Path | str,
    output: Path | str | None = None,
    lips: Path | str | None = None,
    no_lips: bool = False,
    chunk_seconds: float = 8.0,
    find_lips: FindLips = lip_frames,
) -> Path:
    """Enhance one file of any length, sample rate and number of channels, and return where the result lies.

    Args:
        network: as `supernet.load` gives it.
        source: a sound file or a video. A video's own lips are used unless `lips` or `no_lips` is given.
        output: the wav to write, or a folder for it; by default `<name>.enhanced.wav` beside the source. It is mono,
            16 kHz, 16-bit, as long as the source, and appears only when complete.
        lips: a video of the talker that starts with the sound.
        no_lips: use the sound alone.
        chunk_seconds: length of the pieces that the network sees; memory grows with it.
        find_lips: from a video to its lip regions, uint8 (88, 88) each, 25 a second.

    Raises:
        UserError: a file is missing or unreadable, holds NaN or no sound, no face is found in a video whose lips are
            to be used, or the output would overwrite an input.
    """
    source = Path(source)
    video = Path(lips) if lips is not None else None
    chunk_frames = round(chunk_seconds * FRAME_RATE)
    if chunk_frames <= 2 * OVERLAP:
        raise UserError(f"chunk_seconds: {chunk_seconds:g} is too short; use more than {2 * OVERLAP / FRAME_RATE:g}")
    if no_lips and video:
        raise UserError(f"no_lips: contradicts lips {video}; give one of the two")
    media = headers(source)
    goal = _goal(source, output)
    if any(path is not None and goal.resolve() == path.resolve() for path in (source, video)):
        raise UserError(f"output {goal}: would overwrite an input; give another name")
    if media.pictures and video is None and not no_lips:
        video = source
    _describe(source, media, video, next(network.parameters()).device)
    window = LipWindow(find_lips(video)) if video else None
    write_atomically(goal, lambda temporary: _write(temporary, network, source, media, window, chunk_frames))
    return goal


def _goal(source: Path, output: Path | str | None) -> Path:
    if output is None:
        return source.with_name(source.stem + MARK)
    output = Path(output)
    if output.is_dir():
        return output / (source.stem + MARK)
    if output.suffix.lower() != ".wav":
        raise UserError(f"output {output}: must end in .wav, or be a folder that exists")
    return output


def _describe(source: Path, media: Media, video: Path | None, on: torch.device) -> None:
    """Say what will happen to the sound, whose lips are used, and where it is done."""
    changes = []
    if media.channels > 1:
        changes.append(f"the mean of its {media.channels} channels")
    if media.rate != SAMPLE_RATE:
        changes.append(f"resampled from {media.rate} Hz to {SAMPLE_RATE} Hz")
    changes.append(f"with the lips of {video.name}" if video else "without lips")
    changes.append(f"on {described(on)}")
    _say(f"{source}: {', '.join(changes)}")


def _write(
    temporary: Path, network: nn.Module, source: Path, media: Media, window: LipWindow | None, chunk_frames: int
) -> None:
    """Read, enhance and write block by block."""
    clipped = written = 0
    with (
        soundfile.SoundFile(temporary, "w", SAMPLE_RATE, 1, "PCM_16", format="WAV") as file,
        _progress(source, media) as progress,
    ):
        for block in enhance_stream(network.eval(), audio_blocks(source), window, chunk_frames):
            clipped += int((np.abs(block) > 1).sum())
            written += len(block)
            file.write(np.clip(block, -1, 1))
            progress.update(min(len(block) / SAMPLE_RATE, (progress.total or math.inf) - progress.n))
    if clipped:
        _say(f"{source}: {clipped} of {written} samples left the range of a wav and were clipped")
    if window and window.seen / FRAME_RATE < written / SAMPLE_RATE - SHORTFALL:
        _say(f"{source}: its sound lasts {written / SAMPLE_RATE:.1f} s, the lips {window.seen / FRAME_RATE:.1f} s; "
             "the rest was enhanced without lips")  # fmt: skip


def _progress(source: Path, media: Media) -> tqdm:
    total = None if media.seconds is None else round(media.seconds, 1)
    form = "{desc} {percentage:3.0f} % |{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]" if total else None
    return tqdm(total=total, desc=f"enhance {source.name}", unit="s", mininterval=1, bar_format=form)


def _say(message: str) -> None:
    tqdm.write(message, file=sys.stderr)
