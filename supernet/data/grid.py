"""Real recordings: videos of talkers laid out as GRID lays them out, and folders of speech and of noise.

Used by `supernet.data.corpora`. Each file becomes 16-bit audio at 16 kHz and, for a talker, lip regions at 25 frames
a second. A file that cannot be used is listed with its reason; it stops nothing.
"""

from __future__ import annotations

import multiprocessing
import re
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

from supernet.data.lips import lip_regions
from supernet.data.manifest import Clip, Role, save_audio, save_lips
from supernet.data.media import AUDIO_SUFFIXES, VIDEO_SUFFIXES, read_audio
from supernet.data.settings import DataSettings
from supernet.data.splits import assign, noise_kind, speech_speaker
from supernet.errors import UserError
from supernet.timing import SAMPLES_PER_FRAME

REJECTED = "rejected.tsv"
TIME_LIMIT = 900  # s for one file; a decoder that hangs costs that file only
GRID_SENTENCE = re.compile(r"(?:.*_)?([bls][bgrw][abiw][a-z][z1-9][anps])")  # "bbaf2n": bin blue at f two now


def prepare(folder: Path | str, settings: DataSettings) -> list[Clip]:
    """Convert all recordings into `folder`, and split them. Started again, it goes on where it was stopped.

    Raises UserError that names the key when a folder is not given, missing or without a usable file, and when the
    test speaker has too few clips.
    """
    folder = Path(folder)
    drafts = [
        *_drafts("talker", settings.root, "--data.root", VIDEO_SUFFIXES),
        *_drafts("speech", settings.speech, "--data.speech", AUDIO_SUFFIXES),
        *_drafts("noise", settings.noise, "--data.noise", AUDIO_SUFFIXES),
    ]
    _check(drafts, settings)
    roots = {"talker": settings.root, "speech": settings.speech, "noise": settings.noise}
    tasks = [(draft, Path(roots[draft.role]) / draft.source, folder) for draft in drafts]
    clips, rejected = _convert_all(tasks, settings.workers)
    _report(rejected, len(drafts), folder)
    _check(clips, settings)
    return assign(clips, settings)


def _drafts(role: Role, root: str | None, key: str, suffixes: Sequence[str]) -> list[Clip]:
    """A clip for each file below `root`, its lengths still unknown."""
    if root is None:
        raise UserError(f"{key}: not given; name the folder of {role} recordings")
    if not Path(root).is_dir():
        raise UserError(f"{key}: no such folder: {root}; correct the path")
    paths = [path.relative_to(root) for path in sorted(Path(root).rglob("*")) if path.suffix.lower() in suffixes]
    if role == "talker":
        paths = [path for path in paths if len(path.parts) > 1]
    if not paths:
        where = "<speaker>/*" if role == "talker" else "*"
        raise UserError(f"{key}: {root} holds no {role} recording ({where}{', '.join(suffixes)}); correct the path")
    return [_draft(role, path) for path in paths]


def _draft(role: Role, path: Path) -> Clip:
    name = "-".join((role, *path.with_suffix("").parts))
    speaker = {"talker": path.parts[0], "speech": speech_speaker(path), "noise": ""}[role]
    return Clip(
        id=name,
        role=role,
        split="train",
        speaker=speaker,
        category=noise_kind(path)[0] if role == "noise" else "",
        audio=f"audio/{name}.wav",
        lips=f"lips/{name}.npy" if role == "talker" else "",
        samples=0,
        frames=0,
        source=path.as_posix(),
    )


def _convert_all(tasks: Sequence[tuple[Clip, Path, Path]], workers: int) -> tuple[list[Clip], list[tuple[Path, str]]]:
    """The usable clips, and (path, reason) of the others."""
    clips, rejected, used = [], [], {}
    context = multiprocessing.get_context("spawn")  # forked decoders can hang on locks of their parent's threads
    with ProcessPool(max_workers=workers, context=context, initializer=_one_thread) as pool:
        futures = []
        for task in tasks:
            twin = used.setdefault(_identity(task[0]), task[1])
            if twin != task[1]:
                rejected.append((task[1], f"the same recording as {twin}"))
                continue
            futures.append((task[1], pool.schedule(_convert, args=task, timeout=TIME_LIMIT)))
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


def _identity(draft: Clip) -> str:
    """The same for two files that hold one recording: a speaker says each GRID sentence once."""
    sentence = GRID_SENTENCE.fullmatch(Path(draft.source).stem) if draft.role == "talker" else None
    return f"{draft.speaker} says {sentence[1]}" if sentence else draft.id


def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _convert(draft: Clip, path: Path, folder: Path) -> Clip:
    """Write audio and lips of one file, unless they are there. The audio is written last: it marks a finished clip."""
    if (folder / draft.audio).is_file():
        samples = len(wavfile.read(folder / draft.audio, mmap=True)[1])
        return replace(draft, samples=samples, frames=samples // SAMPLES_PER_FRAME)
    wave = read_audio(path)
    if not wave.any():
        raise UserError(f"{path}: is silent from beginning to end; replace the file")
    if draft.role == "talker":
        lips = lip_regions(path)
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
