"""Sound files of all kinds, made in memory, and what damages them."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile


def speech(seconds: float, rate: int = 16_000, seed: int = 0) -> np.ndarray:
    """Something with syllables, a pitch that glides, and pauses, float32 (samples,)."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time) + 10 * np.sin(2 * np.pi * 2.3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 15))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time + rng.uniform(0, 6)), 0, None) ** 0.5
    hiss = 0.02 * rng.standard_normal(len(time))
    return (0.1 * (buzz * syllables + hiss)).astype(np.float32)


def encoded(
    form: str,
    codec: str,
    tracks: list[np.ndarray],
    rate: int,
    layout: str | None = None,
    block: int = 1024,
    starts: list[float] | None = None,
    rate_out: int | None = None,
) -> bytes:
    """A file of sound tracks, each (samples,) or (channels, samples); `starts` are their first times, s."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        waves = [np.atleast_2d(wave).astype(np.float32) for wave in tracks]
        layouts = [layout or {1: "mono", 2: "stereo", 6: "5.1"}[len(wave)] for wave in waves]
        streams = [container.add_stream(codec, rate=rate_out or rate, layout=names) for names in layouts]
        for number, (wave, names, track) in enumerate(zip(waves, layouts, streams, strict=True)):
            context = track.codec_context
            size = context.frame_size or block
            form_of = av.AudioResampler(context.format, context.layout, rate_out or rate, size)
            first = starts[number] if starts else 0.0
            for at in range(0, wave.shape[1], block):
                part = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(wave[:, at : at + block]), format="fltp", layout=names
                )
                part.sample_rate, part.time_base = rate, Fraction(1, rate)
                part.pts = at + round(first * rate)
                for ready in form_of.resample(part):
                    container.mux(track.encode(ready))
            for ready in form_of.resample(None):
                container.mux(track.encode(ready))
            container.mux(track.encode(None))
    return file.getvalue()


def wav(wave: np.ndarray, rate: int = 16_000, subtype: str = "PCM_16", form: str = "WAV") -> bytes:
    """By libsndfile; `wave` is (samples,) or (samples, channels)."""
    file = io.BytesIO()
    soundfile.write(file, wave, rate, subtype=subtype, format=form)
    return file.getvalue()


def scrambled(content: bytes, at: float, size: int) -> bytes:
    """With so many bytes replaced by chance, from that share of the file on."""
    place = int(len(content) * at)
    return content[:place] + np.random.default_rng(1).bytes(size) + content[place + size :]


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def delay(heard: np.ndarray, sent: np.ndarray) -> int:
    """Samples by which one sound lags another."""
    size = 1 << (len(heard) + len(sent)).bit_length()
    match = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sent, size)))
    place = int(np.argmax(match))
    return place if place < size // 2 else place - size
