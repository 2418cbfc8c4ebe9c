"""Real recordings into a corpus: 16-bit audio at 16 kHz and, for a talker, lip regions at 25 frames a second.

Used by `supernet.data.corpora`. Which recordings there are, the readers say; a file that cannot be used is listed with
its reason, and stops nothing.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from pebble import ProcessExpired, ProcessPool
from scipy.io import wavfile
from tqdm import tqdm

from supernet.data.drawing import CONDITIONS
from supernet.data.lip_arrays import read_lip_array
from supernet.data.lips import lip_regions
from supernet.data.manifest import SPLITS, Clip, save_audio, save_lips
from supernet.data.media import read_audio
from supernet.data.readers import Reader, Recording, avsec, cec2, existing, folders, grid, lrs3, ntcd_timit, wham
from supernet.data.settings import DataSettings
from supernet.data.splits import assign
from supernet.errors import UserError
from supernet.timing import FRAME_RATE, SAMPLES_PER_FRAME

REJECTED = "rejected.tsv"
TIME_LIMIT = 900  # s for one file; a decoder that hangs costs that file only
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
LIP_DRIFT = 0.5  # s, by which lip pictures may outlast their sound, or the other way round


def recordings(settings: DataSettings) -> list[Recording]:
    """What the folders of the settings hold. Raises UserError that names the key when one is not given though it is
    needed, is missing, or is not laid out as its corpus is."""
    root = existing(settings.root, "--data.root", "the corpus of talkers")
    found = TALKERS[settings.corpus].read(root, "--data.root")
    conditions = {*(settings.conditions or CONDITIONS[settings.corpus])}
    needs_speech = settings.corpus in FEW_TALKERS and settings.noise_corpus != "cec2" and conditions & VOICES
    if settings.speech is not None or needs_speech:
        found += folders.read_speech(existing(settings.speech, "--data.speech", "speech recordings"), "--data.speech")
    if settings.noise is not None or settings.corpus in WITHOUT_NOISE and conditions & SOUNDS:
        noise = existing(settings.noise, "--data.noise", "noise recordings")
        found += NOISES[settings.noise_corpus](noise, "--data.noise")
    return found


def prepare(folder: Path | str, settings: DataSettings) -> tuple[list[Clip], list[dict]]:
    """Convert all recordings into `folder`, and split them. Started again, it goes on where it was stopped.

    Returns the clips, and of each recorded mixture a row: `target` and `mixture`, clip ids, `snr_db` and `kind`.

    Raises UserError that names the key when a folder is not given, missing or without a usable file, when the test
    speaker has too few clips, and when there are too few speakers for all splits.
    """
    folder = Path(folder)
    found = recordings(settings)
    _check([recording.clip for recording in found], found, settings)
    converted, rejected = _convert_all(found, folder, settings.workers)
    clips, alone = _aligned(converted, found)
    _report(rejected + alone, len(found), folder)
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


def _convert_all(found: Sequence[Recording], folder: Path, workers: int) -> tuple[list[Clip], list[tuple[Path, str]]]:
    """The usable clips, and (path, reason) of the others."""
    clips, rejected, used = [], [], {}
    context = multiprocessing.get_context("spawn")  # forked decoders can hang on locks of their parent's threads
    with ProcessPool(max_workers=workers, context=context, initializer=_one_thread) as pool:
        futures = []
        for recording in found:
            twin = used.setdefault(_identity(recording), recording.sound)
            if twin != recording.sound:
                rejected.append((recording.sound, f"the same recording as {twin}"))
                continue
            futures.append((recording.sound, pool.schedule(_convert, args=(recording, folder), timeout=TIME_LIMIT)))
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


def _convert(recording: Recording, folder: Path) -> Clip:
    """Write audio and lips of one file, unless they are there. The audio is written last: it marks a finished clip."""
    draft, path = recording.clip, recording.sound
    if (folder / draft.audio).is_file():
        samples = len(wavfile.read(folder / draft.audio, mmap=True)[1])
        return replace(draft, samples=samples, frames=samples // SAMPLES_PER_FRAME)
    wave = read_audio(path)
    if not wave.any():
        raise UserError(f"{path}: is silent from beginning to end; replace the file")
    if draft.lips:
        lips = _lips(recording, len(wave) / SAMPLES_PER_FRAME / FRAME_RATE)
        frames = min(len(lips), len(wave) // SAMPLES_PER_FRAME)
        if not frames:
            raise UserError(f"{path}: is shorter than one video frame; replace the file")
        wave = wave[: frames * SAMPLES_PER_FRAME]
        save_lips(folder / draft.lips, lips[:frames])
    save_audio(folder / draft.audio, (wave * 32768).round().clip(-32768, 32767).astype(np.int16))
    return replace(draft, samples=len(wave), frames=len(wave) // SAMPLES_PER_FRAME)


def _lips(recording: Recording, seconds: float) -> np.ndarray:
    """Lip regions of a talker whose sound lasts `seconds`, uint8 (frames, 96, 96)."""
    if recording.lips is None:
        return lip_regions(recording.video)
    lips = read_lip_array(recording.lips, recording.lip_rate)
    if abs(len(lips) / FRAME_RATE - seconds) > LIP_DRIFT:
        raise UserError(
            f"{recording.lips}: its pictures last {len(lips) / FRAME_RATE:.1f} s and the sound {seconds:.1f} s; "
            "replace the file"
        )
    return lips


def _report(rejected: Sequence[tuple[Path, str]], files: int, folder: Path) -> None:
    """Print the files that cannot be used, and keep the table beside the manifest."""
    rows = [f"{path}\t{reason}\n" for path, reason in rejected]
    (folder / REJECTED).write_text("file\treason\n" + "".join(rows))
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
