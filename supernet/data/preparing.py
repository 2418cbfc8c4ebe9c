"""Real recordings into a corpus: 16-bit audio at 16 kHz and, for a talker, lip regions at 25 frames a second.

Used by `supernet.data.corpora`. Which recordings there are, the readers say; a file that cannot be used is listed with
its reason, and stops nothing.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import TimeoutError
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from pebble import ProcessExpired, ProcessPool
from scipy.io import wavfile
from tqdm import tqdm

from supernet.data.lips import check_rule, lip_regions
from supernet.data.manifest import Clip, save_audio, save_lips
from supernet.data.media import read_audio
from supernet.data.readers import Reader, Recording, existing, folders, grid
from supernet.data.settings import DataSettings
from supernet.data.splits import assign
from supernet.errors import UserError
from supernet.timing import SAMPLES_PER_FRAME

REJECTED = "rejected.tsv"
TIME_LIMIT = 900  # s for one file; a decoder that hangs costs that file only
TALKERS: dict[str, Reader] = {"grid": grid}  # by data.corpus


def recordings(settings: DataSettings) -> list[Recording]:
    """What the folders of the settings hold. Raises UserError that names the key when one is not given, missing or
    without a recording."""
    return [
        *TALKERS[settings.corpus].read(existing(settings.root, "--data.root", "talker recordings"), "--data.root"),
        *folders.read_speech(existing(settings.speech, "--data.speech", "speech recordings"), "--data.speech"),
        *folders.read_noise(existing(settings.noise, "--data.noise", "noise recordings"), "--data.noise"),
    ]


def prepare(folder: Path | str, settings: DataSettings) -> list[Clip]:
    """Convert all recordings into `folder`, and split them. Started again, it goes on where it was stopped.

    Raises UserError that names the key when a folder is not given, missing or without a usable file, and when the
    test speaker has too few clips.
    """
    folder = Path(folder)
    check_rule(settings.lip_region, settings.landmark_model)
    found = recordings(settings)
    _check([recording.clip for recording in found], settings)
    clips, rejected = _convert_all(found, folder, settings)
    _report(rejected, len(found), folder)
    _check(clips, settings)
    return assign(clips, settings)


def _convert_all(
    found: Sequence[Recording], folder: Path, settings: DataSettings
) -> tuple[list[Clip], list[tuple[Path, str]]]:
    """The usable clips, and (path, reason) of the others."""
    clips, rejected, used = [], [], {}
    context = multiprocessing.get_context("spawn")  # forked decoders can hang on locks of their parent's threads
    with ProcessPool(max_workers=settings.workers, context=context, initializer=_one_thread) as pool:
        futures = []
        for recording in found:
            twin = used.setdefault(_identity(recording), recording.sound)
            if twin != recording.sound:
                rejected.append((recording.sound, f"the same recording as {twin}"))
                continue
            task = pool.schedule(_convert, args=(recording, folder, settings), timeout=TIME_LIMIT)
            futures.append((recording.sound, task))
        for path, future in tqdm(futures, desc="recordings", unit="file", mininterval=1):
            try:
                clips.append(future.result())
            except UserError as error:
                rejected.append((path, str(error).removeprefix(f"{path}: ")))
            except TimeoutError:
                rejected.append((path, f"took longer than {TIME_LIMIT} s; is the file broken?"))
            except ProcessExpired:
                rejected.append((path, "crashed the decoder; replace the file"))
    return clips, rejected


def _identity(recording: Recording) -> str:
    """The same for two files that hold one recording."""
    return grid.identity(recording.clip) if recording.clip.role == "talker" else recording.clip.id


def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _convert(recording: Recording, folder: Path, settings: DataSettings) -> Clip:
    """Write audio and lips of one file, unless they are there. The audio is written last: it marks a finished clip."""
    draft, path = recording.clip, recording.sound
    if (folder / draft.audio).is_file():
        samples = len(wavfile.read(folder / draft.audio, mmap=True)[1])
        return replace(draft, samples=samples, frames=samples // SAMPLES_PER_FRAME)
    wave = read_audio(path)
    if not wave.any():
        raise UserError(f"{path}: is silent from beginning to end; replace the file")
    if recording.video:
        lips = lip_regions(recording.video, settings.lip_region, settings.landmark_model)
        frames = min(len(lips), len(wave) // SAMPLES_PER_FRAME)
        if not frames:
            raise UserError(f"{path}: is shorter than one video frame; replace the file")
        wave = wave[: frames * SAMPLES_PER_FRAME]
        save_lips(folder / draft.lips, lips[:frames])
    save_audio(folder / draft.audio, (wave * 32768).round().clip(-32768, 32767).astype(np.int16))
    return replace(draft, samples=len(wave), frames=len(wave) // SAMPLES_PER_FRAME)


def _report(rejected: Sequence[tuple[Path, str]], files: int, folder: Path) -> None:
    """Print the files that cannot be used, and keep the table beside the manifest."""
    rows = [f"{path}\t{reason}\n" for path, reason in rejected]
    (folder / REJECTED).write_text("file\treason\n" + "".join(rows))
    if rejected:
        tqdm.write(f"{len(rejected)} of {files} files cannot be used ({folder / REJECTED}):")
        tqdm.write("".join(f"  {path}  {reason}\n" for path, reason in rejected), end="")


def _check(clips: Sequence[Clip], settings: DataSettings) -> None:
    """Asked of the files before they are converted, and of those that proved usable."""
    for role, key in (("talker", "--data.root"), ("speech", "--data.speech"), ("noise", "--data.noise")):
        if not any(clip.role == role for clip in clips):
            raise UserError(f"{key}: no file in it can be used, for the reasons listed; replace the files")
    speakers = [clip.speaker for clip in clips if clip.role == "talker"]
    own, kept = speakers.count(settings.test_speaker), settings.test_clips + settings.val_clips
    if own <= kept:
        raise UserError(
            f"--data.test_speaker: '{settings.test_speaker}' has {own} clips, and {kept} are kept from training; "
            f"choose another of {', '.join(sorted(set(speakers)))}, or lower --data.test_clips and --data.val_clips"
        )
