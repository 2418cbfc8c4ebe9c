"""Rooms as impulse responses: noise tails, image sources, or given recordings.

Every response begins with its direct path, of height 1, so that what is heard stays aligned with the dry recording.
"""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.io import wavfile
from torchaudio.functional import fftconvolve

from supernet.data.corpus import ROOMS, Made
from supernet.errors import UserError
from supernet.media.names import AUDIO_SUFFIXES
from supernet.media.sound import read_audio
from supernet.storage.files import write_atomically
from supernet.timing import SAMPLE_RATE

REVERBERATION_TIME = (0.15, 0.6)  # s, T60: from a furnished living room to a lecture room
DIRECT_TO_REVERBERANT = (0.0, 10.0)  # dB
FIRST_REFLECTION = int(0.003 * SAMPLE_RATE)  # samples after the direct path

IMAGE_ROOMS = 200  # a split; computing one takes about 0.1 s, so that rooms come again
IMAGE_TIME = (0.15, 0.3)  # s, T60: image sources grow with its third power
SMALLEST, LARGEST = (4.0, 3.0, 2.4), (7.0, 6.0, 3.2)  # m
FROM_WALL = 0.5  # m, of talkers and microphone
NEAREST = 10  # samples of sound travelling, 0.2 m
SOUND = 343.0  # m/s

SPLITS = ("train", "val", "test")
CACHED = 2048  # responses kept


def reverberate(wave: np.ndarray, impulse: np.ndarray) -> np.ndarray:
    """`wave` (samples,) as heard in the room, of the same length and aligned with its direct path."""
    size = next_fast_len(len(wave) + len(impulse) - 1, real=True)  # a transform of unlucky length is 30 times slower
    impulse = np.pad(impulse, (0, size - len(wave) + 1 - len(impulse)))
    return fftconvolve(torch.from_numpy(wave), torch.from_numpy(impulse))[: len(wave)].numpy()


def response(room: int, place: int) -> np.ndarray:
    """Impulse response from the `place`-th source of room number `room`, float32 (samples,); it begins with 1.

    All sources of a room share its reverberation time; each place has its own reflections and distance.
    """
    t60 = np.random.default_rng(room).uniform(*REVERBERATION_TIME)
    generator = np.random.default_rng((room, place))
    tail = generator.standard_normal(int(t60 * SAMPLE_RATE), dtype=np.float32)
    tail *= 10 ** (-3 * np.arange(len(tail), dtype=np.float32) / len(tail))  # 60 dB down at its end
    tail[: FIRST_REFLECTION + 1] = 0
    ratio_db = generator.uniform(*DIRECT_TO_REVERBERANT)
    impulse = tail * (10 ** (-ratio_db / 20) / np.sqrt(np.sum(tail**2)))
    impulse[0] = 1
    return impulse.astype(np.float32)


@lru_cache(maxsize=CACHED)
def image_response(room: int, place: int) -> np.ndarray:
    """The same of a shoe-box room by the image-source method, float32 (samples,).

    A room has its size, its absorption and a microphone; each place is a point in it. Raises UserError when
    pyroomacoustics is not installed.
    """
    try:
        import pyroomacoustics
    except ImportError:
        raise UserError(
            "data.rooms: 'image' needs pyroomacoustics; install it with pip install 'ofa-avse[rooms]'"
        ) from None
    shared, own = np.random.default_rng(room), np.random.default_rng((room, place))
    size = shared.uniform(SMALLEST, LARGEST)
    absorption, order = pyroomacoustics.inverse_sabine(shared.uniform(*IMAGE_TIME), size, c=SOUND)
    microphone = shared.uniform(FROM_WALL, size - FROM_WALL)
    ray = own.uniform(FROM_WALL, size - FROM_WALL) - microphone
    samples = np.linalg.norm(ray) / SOUND * SAMPLE_RATE
    late = max(NEAREST, int(samples))  # a whole number, so that the direct path is one sample and no sinc
    source = microphone + ray * (late / samples)
    material = pyroomacoustics.Material(absorption)
    box = pyroomacoustics.ShoeBox(size, fs=SAMPLE_RATE, materials=material, max_order=order)
    box.set_sound_speed(SOUND)
    box.add_source(source)
    box.add_microphone(microphone)
    box.compute_rir()
    return _from_direct_path(box.rir[0][0], late + pyroomacoustics.constants.get("frac_delay_length") // 2)


@lru_cache(maxsize=CACHED)
def given_response(folder: Path, room: int, place: int, made: Made = ()) -> np.ndarray:
    """The response from a place of a given room, float32 (samples,): `room` decides which file of the folder each
    place has; with more places than files they come again.
    """
    files = sorted(folder.glob("*.wav"))
    chosen = np.random.default_rng(room).permutation(len(files))[place % len(files)]
    return wavfile.read(files[chosen])[1]


def adopt(folder: Path | str, corpus_folder: Path | str, seed: int) -> None:
    """Copy given impulse responses into a corpus, to `rooms/<split>/<room>/*.wav`: 16 kHz, float32, direct path first.

    The files of a sub-folder belong to one room; a file outside of any is a room of its own. Rooms are split, so that
    no room of validation or test is heard in training. Raises UserError when there are fewer than three rooms, or for
    a file that cannot be read.
    """
    folder = Path(folder)
    rooms: dict[Path, list[Path]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES):
        room = path if path.parent == folder else path.parent
        rooms.setdefault(room.relative_to(folder), []).append(path)
    if len(rooms) < len(SPLITS):
        raise UserError(
            f"data.rooms: {folder} holds impulse responses of {len(rooms)} rooms, and training, validation and test "
            "need one each at least; give a folder with a sub-folder a room"
        )
    order = [list(rooms)[index] for index in np.random.default_rng((seed, len(rooms))).permutation(len(rooms))]
    each = max(1, len(order) // 7)
    splits = {"val": order[:each], "test": order[each : 2 * each], "train": order[2 * each :]}
    shutil.rmtree(Path(corpus_folder) / ROOMS, ignore_errors=True)  # of a preparation that was stopped
    for split, chosen in splits.items():
        for room in chosen:
            for path in rooms[room]:
                wave = read_audio(path)
                if not wave.any():
                    raise UserError(f"{path}: is silent, and no impulse response; remove it")
                target = Path(corpus_folder) / ROOMS / split / "-".join(room.parts) / f"{path.name}.wav"
                _save(target, _from_direct_path(wave, int(np.abs(wave).argmax())))


def given_rooms(corpus_folder: Path, split: str) -> list[str]:
    """The rooms that `adopt` put into a corpus for a split, as paths below its folder. Raises UserError without any."""
    found = sorted(path for path in (corpus_folder / ROOMS / split).glob("*") if path.is_dir())
    if not found:
        raise UserError(
            f"{corpus_folder / ROOMS / split}: no impulse responses, for data.rooms was another folder when the "
            "corpus was made; use another data.folder or delete the corpus"
        )
    return [path.relative_to(corpus_folder).as_posix() for path in found]


def _from_direct_path(impulse: np.ndarray, first: int) -> np.ndarray:
    """What begins with sample `first`, scaled so that it is 1, float32 (samples,)."""
    return (impulse[first:] / impulse[first]).astype(np.float32)


def _save(path: Path, impulse: np.ndarray) -> None:
    write_atomically(path, lambda temporary: wavfile.write(temporary, SAMPLE_RATE, impulse))
