"""Real recordings into a corpus: 16-bit audio at 16 kHz and, for a talker, lip regions at 25 frames a second.

Used by `supernet.data.corpora`. Which recordings there are, the readers say; a file that cannot be used is listed with
its reason, and stops nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
from scipy.io import wavfile
from tqdm import tqdm

from supernet.data.indexing import lacks, probe
from supernet.data.lips import lip_regions
from supernet.data.manifest import Clip, save_audio, save_lips
from supernet.data.media import read_audio
from supernet.data.pooled import outcomes
from supernet.data.readers import Reader, Recording, existing, folders, grid
from supernet.data.settings import DataSettings
from supernet.data.splits import assign
from supernet.errors import UserError
from supernet.files import write_text
from supernet.timing import FRAME_RATE, SAMPLE_RATE, SAMPLES_PER_FRAME

REJECTED = "rejected.tsv"
TIME_LIMIT = 900  # s for one file; a decoder that hangs costs that file only
UNEQUAL = 0.1  # share by which sound and pictures of a talker may differ in length
UNEQUAL_SECONDS = 0.2  # and at least this: some cameras start late
LOUDEST = 8.0  # full scales; beyond it, numbers are no sound from -1 to 1
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
    found = recordings(settings)
    _check([recording.clip for recording in found], settings)
    clips, _ = convert(found, Path(folder), settings)
    _check(clips, settings)
    return assign(clips, settings)


def convert(
    found: Sequence[Recording], folder: Path, settings: DataSettings
) -> tuple[list[Clip], list[tuple[Path, str]]]:
    """The usable clips, and (path, reason) of the others, which are printed and listed in `folder/rejected.tsv`.

    What is there already is not converted again. A talker's clip is as long as both its sound and its pictures;
    a recording is refused when a track ends before its header says (`indexing.lacks`), or when one of the two is
    longer than the other by more than a tenth.
    """
    rejected, used, tasks = [], {}, []
    for recording in found:
        twin = used.setdefault(_identity(recording), recording.sound)
        if twin != recording.sound:
            rejected.append((recording.sound, f"the same recording as {twin}"))
        else:
            tasks.append((recording, folder))
    clips = []
    for (recording, _), outcome in zip(tasks, outcomes(_convert, tasks, settings.workers, TIME_LIMIT, "recordings")):
        if outcome.problem:
            rejected.append((recording.sound, outcome.problem.removeprefix(f"{recording.sound}: ")))
        else:
            clips.append(outcome.value)
    _report(rejected, len(found), folder)
    return clips, rejected


def _identity(recording: Recording) -> str:
    """The same for two files that hold one recording."""
    return grid.identity(recording.clip) if recording.clip.role == "talker" else recording.clip.id


def _convert(recording: Recording, folder: Path) -> Clip:
    """Write audio and lips of one file, unless they are there. The audio is written last: it marks a finished clip."""
    draft = recording.clip
    if (folder / draft.audio).is_file():
        samples = len(wavfile.read(folder / draft.audio, mmap=True)[1])
        return replace(draft, samples=samples, frames=samples // SAMPLES_PER_FRAME)
    try:
        wave, lips = _decode(recording)
    except (av.FFmpegError, cv2.error, RuntimeError, ValueError, ArithmeticError, MemoryError, OSError) as error:
        # what decoders raise on what nobody expected of a file; an error of writing, below, ends the whole
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{recording.sound}: cannot be decoded ({reason}); replace the file") from error
    if lips is not None:
        save_lips(folder / draft.lips, lips)
    save_audio(folder / draft.audio, (wave * 32768).round().clip(-32768, 32767).astype(np.int16))
    return replace(draft, samples=len(wave), frames=len(wave) // SAMPLES_PER_FRAME)


def _decode(recording: Recording) -> tuple[np.ndarray, np.ndarray | None]:
    """Sound, float32 (samples,), and lip regions, uint8 (frames, 96, 96), of equal length; None without video.

    Raises UserError that begins with a path.
    """
    path, video = recording.sound, recording.video
    promised = probe(path, sound=True, pictures=video == path)
    promised_pictures = promised if video in (None, path) else probe(video, sound=False, pictures=True)
    wave = read_audio(path)
    _keeps(path, "sound", promised.seconds, len(wave) / SAMPLE_RATE)
    if not wave.any():
        raise UserError(f"{path}: is silent from beginning to end; replace the file")
    if np.abs(wave).max() > LOUDEST:
        raise UserError(f"{path}: holds samples up to {np.abs(wave).max():.3g}, and full scale is 1; scale the file")
    if len(wave) < SAMPLES_PER_FRAME:
        raise UserError(f"{path}: is shorter than one video frame; replace the file")
    if video is None:
        return wave, None
    lips = lip_regions(video)
    seconds, pictures = len(wave) / SAMPLE_RATE, len(lips) / FRAME_RATE
    _keeps(video, "pictures", promised_pictures.picture_seconds, pictures)
    if abs(seconds - pictures) > max(UNEQUAL_SECONDS, UNEQUAL * max(seconds, pictures)):
        raise UserError(f"{path}: has {seconds:.2f} s of sound and {pictures:.2f} s of pictures; replace the file")
    frames = min(len(lips), len(wave) // SAMPLES_PER_FRAME)
    return wave[: frames * SAMPLES_PER_FRAME], lips[:frames]


def _keeps(path: Path, track: str, promised: float, seconds: float) -> None:
    if lacks(promised, seconds):
        raise UserError(f"{path}: its {track} breaks off after {seconds:.2f} of {promised:.2f} s; replace the file")


def _report(rejected: Sequence[tuple[Path, str]], files: int, folder: Path) -> None:
    """Print the files that cannot be used, and keep the table beside the manifest."""
    rows = [f"{path}\t{reason}\n" for path, reason in rejected]
    write_text(folder / REJECTED, "file\treason\n" + "".join(rows))
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
