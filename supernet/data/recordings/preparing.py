"""Real recordings into a corpus: 16-bit audio at 16 kHz and, for a talker, lip regions at 25 frames a second. Which
recordings there are, the readers say; a file that cannot be used is listed with its reason, and stops nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from scipy.io import wavfile
from tqdm import tqdm

from supernet.data.corpus import SPLITS, Clip, save_audio, save_lips
from supernet.data.lips.arrays import read_lip_array
from supernet.data.lips.find import check_rule, lip_regions
from supernet.data.mixing.draw import CONDITIONS
from supernet.data.recordings.indexing import lacks, outcomes, probe
from supernet.data.recordings.readers import (
    Reader,
    Recording,
    avsec,
    cec2,
    existing,
    folders,
    grid,
    lrs3,
    ntcd_timit,
    wham,
)
from supernet.data.recordings.splits import assign
from supernet.data.settings import DataSettings
from supernet.errors import UserError
from supernet.media.sound import Sound
from supernet.storage.files import write_text
from supernet.timing import FRAME_RATE, SAMPLE_RATE, SAMPLES_PER_FRAME

REJECTED = "rejected.tsv"
TIME_LIMIT = 3600  # s for one file, hours of video on a busy machine; a decoder that hangs costs that file only
UNEQUAL = 0.1  # share by which sound and pictures of a talker may differ in length
UNEQUAL_SECONDS = 0.2  # and at least this: some cameras start late
LIP_DRIFT = 0.5  # the same for lip pictures that come with a corpus
LONGEST_NAME = 255 - len("..wav.partial")  # bytes: what file systems allow, less what is put around a clip's id
TALKERS: dict[str, Reader] = {  # by data.corpus
    "grid": grid,
    "folders": folders,
    "lrs3": lrs3,
    "avsec3": avsec.AVSEC3,
    "avsec4": avsec.AVSEC4,
    "ntcd_timit": ntcd_timit,
}
NOISES: dict[str, Callable[[Path, str], list[Recording]]] = {  # by data.noise_corpus
    "folder": folders.read_noise,
    "wham": wham.read,
    "cec2": cec2.read,
}
FEW_TALKERS = ("grid", "folders")  # who alone are no crowd
WITHOUT_NOISE = (*FEW_TALKERS, "lrs3", "ntcd_timit")
VOICES, SOUNDS = {"babble", "talker"}, {"ambience", "events", "noise", "music"}  # conditions that need recordings


def recordings(settings: DataSettings) -> list[Recording]:
    """What the folders of the settings hold. Raises UserError that names the key when one is not given though it is
    needed, is missing, or is not laid out as its corpus is."""
    root = existing(settings.root, "--data.root", "the corpus of talkers")
    found = TALKERS[settings.corpus].read(root, "--data.root")
    conditions = {*(settings.conditions or CONDITIONS[settings.corpus])}
    needs_speech = settings.corpus in FEW_TALKERS and settings.noise_corpus != "cec2" and conditions & VOICES
    if settings.speech is not None or needs_speech:
        found += folders.read_speech(existing(settings.speech, "--data.speech", "speech recordings"), "--data.speech")
    if settings.noise is not None or (settings.corpus in WITHOUT_NOISE and conditions & SOUNDS):
        noise = existing(settings.noise, "--data.noise", "noise recordings")
        found += NOISES[settings.noise_corpus](noise, "--data.noise")
    return found


def prepare(folder: Path | str, settings: DataSettings) -> tuple[list[Clip], list[dict]]:
    """Convert all recordings into `folder`, and split them. Started again, it goes on where it was stopped.

    Returns the clips, and of each recorded mixture a row: `target` and `mixture`, clip ids, `snr_db` and `kind`.

    Raises UserError that names the key when a folder is not given, missing or without a usable file, when the test
    speaker has too few clips, and when there are too few speakers for all splits.
    """
    found = recordings(settings)
    _check([recording.clip for recording in found], found, settings)
    clips, _ = convert(found, Path(folder), settings)
    _check(clips, found, settings)
    clips = assign(clips, settings, found)
    for split in SPLITS:
        if not any(clip.role == "talker" and clip.split == split for clip in clips):
            speakers = len({clip.speaker for clip in clips if clip.role == "talker"})
            raise UserError(
                f"--data.root: the clips of {speakers} speakers leave none for '{split}'; training, validation and "
                "test share no speaker, so add speakers"
            )
    of = {recording.clip.id: recording for recording in found}
    mixtures = [of[clip.id] for clip in clips if clip.role == "mixture"]
    return clips, [{"target": m.mixture_of, "mixture": m.clip.id, "snr_db": m.snr_db, "kind": m.kind} for m in mixtures]


def _aligned(clips: Sequence[Clip], found: Sequence[Recording]) -> tuple[list[Clip], list[tuple[Path, str]]]:
    """Recorded mixtures as long as their talkers' clips, which end with the last whole video frame; and (path, reason)
    of those that cannot be used."""
    of = {recording.clip.id: recording for recording in found}
    talkers = {clip.id: clip for clip in clips if clip.role == "talker"}
    kept, rejected = [], []
    for clip in clips:
        recording, target = of[clip.id], talkers.get(of[clip.id].mixture_of)
        if clip.role != "mixture":
            kept.append(clip)
        elif target is None:
            rejected.append((recording.sound, f"its target, {recording.mixture_of}, cannot be used"))
        elif clip.samples < target.samples:
            rejected.append((recording.sound, f"is shorter than its target, {target.id}; replace the file"))
        else:
            kept.append(replace(clip, samples=target.samples, frames=target.frames))
    return kept, rejected


def convert(
    found: Sequence[Recording], folder: Path, settings: DataSettings
) -> tuple[list[Clip], list[tuple[Path, str]]]:
    """The usable clips, and (path, reason) of the others, which are printed and listed in `folder/rejected.tsv`.

    What is there already is not converted again. A talker's clip is as long as both its sound and its pictures;
    a recording is refused when a track ends before its header says (`indexing.lacks`), or when one of the two is
    longer than the other by more than a tenth.
    """
    check_rule(settings.lip_region, settings.landmark_model)
    rejected: list[tuple[Path, str]] = []
    used: dict[str, Recording] = {}
    tasks = []
    for recording in found:
        twin = used.setdefault(_identity(recording), recording)
        if len(os.fsencode(recording.clip.id)) > LONGEST_NAME:
            rejected.append((recording.sound, "has too long a name, folders included; shorten it"))
        elif twin.sound == recording.sound:
            tasks.append((recording, folder, settings))
        elif twin.clip.id == recording.clip.id:
            reason = f"would be called '{twin.clip.id}', as {twin.sound} is; rename one of them"
            rejected.append((recording.sound, reason))
        else:
            rejected.append((recording.sound, f"the same recording as {twin.sound}"))
    clips = []
    converted = outcomes(_convert, tasks, settings.workers, TIME_LIMIT, "recordings")
    for outcome, (recording, *_) in zip(converted, tasks, strict=True):
        if outcome.problem:
            rejected.append((recording.sound, outcome.problem.removeprefix(f"{recording.sound}: ")))
        else:
            clips.append(outcome.value)
    clips, alone = _aligned(clips, found)
    _report(rejected + alone, len(found), folder)
    return clips, rejected + alone


def _identity(recording: Recording) -> str:
    """The same for two files that hold one recording."""
    return grid.identity(recording.clip) if recording.clip.role == "talker" else recording.clip.id


def _convert(recording: Recording, folder: Path, settings: DataSettings) -> Clip:
    """Write audio and lips of one file, unless they are there. The audio is written last: it marks a finished clip."""
    draft = recording.clip
    if (folder / draft.audio).is_file():
        samples = len(wavfile.read(folder / draft.audio, mmap=True)[1])
        return replace(draft, samples=samples, frames=samples // SAMPLES_PER_FRAME)
    try:
        sound, lips = _decode(recording, settings)
    except UserError:
        raise
    except (av.FFmpegError, cv2.error, RuntimeError, ValueError, ArithmeticError, MemoryError, OSError) as error:
        # what decoders raise on what nobody expected of a file; an error of writing, below, ends the whole
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{recording.sound}: cannot be decoded ({reason}); replace the file") from error
    if lips is not None:
        save_lips(folder / draft.lips, lips)
    save_audio(folder / draft.audio, sound)
    return replace(draft, samples=len(sound), frames=len(sound) // SAMPLES_PER_FRAME)


def _decode(recording: Recording, settings: DataSettings) -> tuple[np.ndarray, np.ndarray | None]:
    """Sound, int16 (samples,), and lip regions, uint8 (frames, 96, 96), of equal length; None without video.

    Raises UserError that begins with a path.
    """
    path, video = recording.sound, recording.video
    promised = probe(path, sound=True, pictures=video == path)
    promised_pictures = promised if video is None or video == path else probe(video, sound=False, pictures=True)
    sound = Sound.open(path)
    wave = sound.read()
    _keeps(path, "sound", promised.seconds, promised.seconds - sound.missing)
    if not wave.any():
        raise UserError(f"{path}: is silent from beginning to end; replace the file")
    if (loudest := np.abs(wave).max()) > 1:
        wave /= loudest
    whole = (wave * 32768).round().clip(-32768, 32767).astype(np.int16)
    if not whole.any():
        raise UserError(f"{path}: is too faint for 16 bits, and would be silent; make it louder")
    if len(wave) < SAMPLES_PER_FRAME:
        raise UserError(f"{path}: is shorter than one video frame; replace the file")
    if not recording.clip.lips:
        return whole, None
    if recording.lips:
        pictured, drift = recording.lips, LIP_DRIFT
        lips = read_lip_array(recording.lips, recording.lip_rate)
    else:
        pictured, drift = path, UNEQUAL_SECONDS
        film = cast(Path, video)  # the lips of a clip come from an array or a film
        lips = lip_regions(film, settings.lip_region, settings.landmark_model)
        _keeps(film, "pictures", promised_pictures.picture_seconds, len(lips) / FRAME_RATE)
    seconds, pictures = len(wave) / SAMPLE_RATE, len(lips) / FRAME_RATE
    if abs(seconds - pictures) > max(drift, UNEQUAL * max(seconds, pictures)):
        raise UserError(
            f"{pictured}: its pictures last {pictures:.1f} s and the sound {seconds:.1f} s; replace the file"
        )
    frames = min(len(lips), len(wave) // SAMPLES_PER_FRAME)
    whole = whole[: frames * SAMPLES_PER_FRAME]
    if not whole.any():
        raise UserError(f"{pictured}: its pictures end before anything is heard; replace the file")
    return whole, lips[:frames]


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


def _check(clips: Sequence[Clip], found: Sequence[Recording], settings: DataSettings) -> None:
    """Asked of the files before they are converted, and of those that proved usable."""
    noise = "--data.root" if settings.noise is None else "--data.noise"
    speech = noise if settings.speech is None else "--data.speech"
    for role, key in (("talker", "--data.root"), ("speech", speech), ("noise", noise), ("mixture", "--data.root")):
        wanted = any(recording.clip.role == role for recording in found)
        if wanted and not any(clip.role == role for clip in clips):
            raise UserError(f"{key}: no file in it can be used, for the reasons listed; replace the files")
    if settings.corpus != "grid":
        return
    speakers = [clip.speaker for clip in clips if clip.role == "talker"]
    own, kept = speakers.count(settings.test_speaker), settings.test_clips + settings.val_clips
    if own <= kept:
        raise UserError(
            f"--data.test_speaker: '{settings.test_speaker}' has {own} clips, and {kept} are kept from training; "
            f"choose another of {', '.join(sorted(set(speakers)))}, or lower --data.test_clips and --data.val_clips"
        )
