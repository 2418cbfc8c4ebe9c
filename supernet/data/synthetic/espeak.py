"""Speech of espeak-ng with the time of each phoneme.

The library keeps state from one utterance to the next (flutter, echo), which even a new initialisation leaves
standing, and seeds its noise from the clock. So each utterance gets a freshly loaded library (0.5 ms) with a fixed
seed: what is spoken is a function of text and voice.
"""

from __future__ import annotations

import ctypes
from _ctypes import dlclose
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import espeakng_loader
import numpy as np
import torch
from torchaudio.functional import resample

from supernet.errors import UserError
from supernet.timing import SAMPLE_RATE

# Names and values are those of espeak-ng's speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_PHONEME_EVENTS, INITIALIZE_PHONEME_IPA, INITIALIZE_DONT_EXIT = 0x0001, 0x0002, 0x8000
EVENT_LIST_TERMINATED, EVENT_PHONEME = 0, 7
CHARS_UTF8, POS_CHARACTER = 1, 1
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
SEED = 1  # of espeak's noise
HEADROOM = 50  # percent of espeak's volume: at 100 a third of the variants clip


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_ubyte * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Voice:
    """How a text is spoken: `name` is accent+variant, as in "gmw/en-US+f2"."""

    name: str
    pitch: int = 50  # 0 .. 100
    range: int = 50  # of the intonation, 0 (monotone) .. 100
    rate: int = 175  # words a minute, 80 .. 450


def speak(text: str, voice: Voice) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Speech at 16 kHz, float32 in [-1, 1], shape (samples,), and the (start sample, IPA symbols) of each phoneme.

    Phonemes come in order of time; a pause is one of no symbols. The same text and voice give the same samples,
    whatever was spoken before.

    Raises:
        UserError: espeak-ng cannot be loaded, or has no such voice.
    """
    chunks: list[np.ndarray] = []
    phonemes: list[tuple[int, str]] = []

    @_Callback
    def collect(wave, count, events) -> int:
        if wave and count > 0:
            chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type != EVENT_LIST_TERMINATED:
            event = events[index]
            if event.type == EVENT_PHONEME:
                symbols = bytes(event.id.string).split(b"\0")[0].decode()
                phonemes.append((event.sample, symbols))
            index += 1
        return 0

    with _fresh_library() as (library, native_rate):
        library.espeak_SetSynthCallback(collect)
        if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise UserError(f"voice {voice.name!r}: espeak-ng does not have it; name it as in gmw/en-US+f2")
        for parameter, value in ((RATE, voice.rate), (VOLUME, HEADROOM), (PITCH, voice.pitch), (RANGE, voice.range)):
            library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode()
        library.espeak_Synth(encoded, len(encoded) + 1, 0, POS_CHARACTER, 0, CHARS_UTF8, None, None)

    native = torch.from_numpy(np.concatenate(chunks).astype(np.float32) / 32768)
    speech = resample(native, native_rate, SAMPLE_RATE).numpy()
    return speech, [(start * SAMPLE_RATE // native_rate, symbols) for start, symbols in phonemes]


@contextmanager
def _fresh_library() -> Iterator[tuple[ctypes.CDLL, int]]:
    """An espeak-ng without a past, and its sampling rate in Hz."""
    library_path, data_path = _paths()
    try:
        library = ctypes.CDLL(library_path)
    except OSError as error:
        raise UserError(f"{library_path}: espeak-ng cannot be loaded ({error}); reinstall espeakng-loader") from error
    try:
        options = INITIALIZE_PHONEME_EVENTS | INITIALIZE_PHONEME_IPA | INITIALIZE_DONT_EXIT
        native_rate = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data_path.encode(), options)
        if native_rate <= 0:
            raise UserError(f"{data_path}: espeak-ng cannot read its data; reinstall espeakng-loader")
        library.espeak_ng_SetRandSeed(ctypes.c_long(SEED))
        yield library, native_rate
        library.espeak_Terminate()
    finally:
        dlclose(library._handle)


@cache
def _paths() -> tuple[str, str]:
    try:
        return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    except RuntimeError as error:
        raise UserError(f"espeakng-loader: {error}; reinstall espeakng-loader") from error
