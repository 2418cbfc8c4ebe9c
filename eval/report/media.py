"""Sound, spectrograms and lips as data URLs that an HTML page can hold."""

from __future__ import annotations

import base64
import io

import numpy as np
import soundfile
from matplotlib import colormaps
from PIL import Image
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from supernet.timing import SAMPLE_RATE

WINDOW = 512  # samples, 32 ms
HOP = 128  # samples, 8 ms
RANGE_DB = 70.0  # from the loudest bin of the three spectrograms down to black
SPRITE_COLUMNS = 15  # lip frames in a row of the sprite sheet


def audio_url(samples: np.ndarray) -> str:
    """(samples,) float at 16 kHz as 16-bit FLAC, which every browser plays and which loses nothing."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1.0, 1.0), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return _data_url("audio/flac", buffer)


def spectrogram_db(samples: np.ndarray) -> np.ndarray:
    """(samples,) float -> (frequencies, frames) dB, low frequencies first."""
    transform = ShortTimeFFT(hann(WINDOW, sym=False), HOP, SAMPLE_RATE)
    return 20 * np.log10(np.abs(transform.stft(samples)) + 1e-6)


def spectrogram_url(decibels: np.ndarray, loudest: float) -> str:
    """(frequencies, frames) dB as an image, 8 kHz at the top; `loudest` dB is the brightest colour."""
    scaled = np.clip((decibels - loudest) / RANGE_DB + 1.0, 0.0, 1.0)
    pixels = (colormaps["magma"](scaled[::-1])[..., :3] * 255).astype(np.uint8)
    return _image_url(pixels, quality=82)


def lips_sprite_url(lips: np.ndarray) -> tuple[str, int, int]:
    """uint8 (frames, height, width) -> (data URL of all frames in a grid, columns, rows of the grid)."""
    frames, height, width = lips.shape
    columns = min(SPRITE_COLUMNS, frames)
    rows = -(-frames // columns)
    grid = np.zeros((rows * columns, height, width), np.uint8)
    grid[:frames] = lips
    sheet = grid.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)
    return _image_url(sheet, quality=75), columns, rows


def _image_url(pixels: np.ndarray, quality: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return _data_url("image/jpeg", buffer)


def _data_url(kind: str, buffer: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
