"""Mixing: from a MixtureSpec to sound and lips."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import numpy as np

from supernet.data.corpus import Corpus
from supernet.data.mixing.noise import GENERATED
from supernet.data.mixing.rooms import given_response, image_response, response, reverberate
from supernet.data.mixing.spec import Interferer, MixtureSpec
from supernet.data.mixing.weighting import speech_power
from supernet.errors import UserError
from supernet.timing import SAMPLES_PER_FRAME

FULL_SCALE = 0.99  # loudest sample of a mixture


@dataclass(frozen=True)
class Example:
    """One mixture: `mixture` and `clean` float32 (samples,), `lips` uint8 (frames, 96, 96), or None without video."""

    mixture: np.ndarray
    clean: np.ndarray
    lips: np.ndarray | None


def realise(corpus: Corpus, spec: MixtureSpec) -> Example:
    """Make the mixture that `spec` describes.

    The SNR is the ratio of the powers, plain or speech-weighted, of the target and the sum of all maskers, both as
    heard in the room. It holds over the part where the maskers are present: from `onset`, 0 for most mixtures, to the
    end, their swelling included. The clean signal is the target's direct path: the dry recording, also under
    reverberation. A mixture that would clip is scaled down, its clean signal with it.

    A `scene` is given back as it is: the recorded mixture, and the recording of its target as the clean signal.
    """
    target, samples = corpus.clip(spec.target), spec.frames * SAMPLES_PER_FRAME
    clean = corpus.audio(target, spec.start * SAMPLES_PER_FRAME, samples)
    lips = corpus.lips(target, spec.start, spec.frames) if target.lips else None
    if spec.condition == "scene":
        (clip_id, start), *_ = spec.maskers
        return Example(corpus.audio(corpus.clip(clip_id), start, samples), clean, lips)

    places = count()
    heard = _in_room(corpus, spec, clean, next(places))
    maskers = []
    for part in spec.parts:
        sources = [_in_room(corpus, spec, source, next(places)) for source in _sources(corpus, spec, part)]
        maskers.append(np.sum(sources, axis=0))
    masker = maskers[0]
    if spec.others:
        levels = [0.0, *(other.level_db for other in spec.others)]
        masker = np.sum(
            [m * (10 ** (db / 20) / _level(m, spec)) for m, db in zip(maskers, levels, strict=True)], axis=0
        )
    masker *= _level(heard, spec) / _level(masker, spec) * 10 ** (-spec.snr_db / 20)

    mixture = heard + masker
    gain = 10 ** (spec.gain_db / 20)
    scale = min(gain, FULL_SCALE / float(np.abs(mixture).max()))
    return Example((mixture * scale).astype(np.float32), (clean * scale).astype(np.float32), lips)


def _sources(corpus: Corpus, spec: MixtureSpec, part: MixtureSpec | Interferer) -> list[np.ndarray]:
    """What one masker is made of, each float32 (samples,) and equally loud, before any room; silent until `onset`."""
    samples = spec.frames * SAMPLES_PER_FRAME - spec.onset
    if part.condition in GENERATED:
        sources = [GENERATED[part.condition](np.random.default_rng(part.noise_seed), samples)]
    else:
        sources = [_cyclic(corpus, clip_id, start, samples) for clip_id, start in part.maskers]
    sources = [source / _rms(source, spec) for source in sources]
    if not spec.onset:
        return sources
    swell = np.ones(samples, np.float32)
    swell[: spec.ramp] = (1 - np.cos(np.pi * (np.arange(spec.ramp) + 0.5) / spec.ramp)) / 2  # raised cosine
    return [np.pad(source * swell, (spec.onset, 0)) for source in sources]


def _in_room(corpus: Corpus, spec: MixtureSpec, wave: np.ndarray, place: int) -> np.ndarray:
    """What is heard of `wave` (samples,) from the `place`-th talker or masker of the mixture's room, if it has one."""
    if spec.room is None:
        return wave
    if spec.rooms == "noise":
        impulse = response(spec.room, place)
    elif spec.rooms == "image":
        impulse = image_response(spec.room, place)
    else:
        impulse = given_response(corpus.folder / spec.rooms, spec.room, place, corpus.made)
    return reverberate(wave, impulse)


def _cyclic(corpus: Corpus, clip_id: str, start: int, samples: int) -> np.ndarray:
    """Excerpt of a masker that begins again when it ends, float32 (samples,)."""
    clip = corpus.clip(clip_id)
    if start + samples <= clip.samples:
        return corpus.audio(clip, start, samples)
    return np.resize(np.roll(corpus.audio(clip), -start), samples)


def _level(wave: np.ndarray, spec: MixtureSpec) -> float:
    """Root of the power that counts for the SNR: weighted as `spec` says, from the maskers' onset on."""
    present = wave[spec.onset :]
    if spec.snr_weighting == "plain":
        return _rms(present, spec)
    return _checked(speech_power(present), spec) ** 0.5


def _rms(wave: np.ndarray, spec: MixtureSpec) -> float:
    return _checked(float(np.dot(wave, wave)) / len(wave), spec) ** 0.5


def _checked(power: float, spec: MixtureSpec) -> float:
    if power == 0:
        raise UserError(f"mixture of '{spec.target}' ({spec.condition}): a signal is silent, so it has no SNR")
    return power
