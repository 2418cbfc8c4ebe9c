"""The pictures of a video, grey and upright, 25 a second, on the time line of its sound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from supernet.errors import UserError
from supernet.media.opening import Reader, opened, picture_track, seconds, sound_tracks
from supernet.timing import FRAME_RATE

LARGEST = 16384  # pixels a side


def read_frames(path: Path | str, sound: int = 1) -> Iterator[np.ndarray]:
    """The pictures of a video at 25 frames a second, one at a time: grey, uint8 (height, width).

    Frame n is the picture on the screen at (n + 0.5) / 25 s by the file's own time stamps, so that 24, 29.97, 30 and
    50 frames a second keep pace with the sound. Time starts with the sound or the first picture, whichever comes first;
    a picture that comes late stands from the beginning, one that cannot be decoded is the one before. Pictures are as
    players show them: upright, and with square pixels. A still picture lasts one frame.

    Args:
        path: of the video.
        sound: number of the sound track that the pictures go with.

    Raises UserError when the file is missing, is no video, or has no video track.
    """
    path = Path(path)
    with opened(path) as container:
        track = picture_track(path, container)
        heard = dict(enumerate(sound_tracks(container), start=1)).get(sound)
        shown: np.ndarray | None = None
        index, end, begin = 0, 0.0, None
        for start, picture, length in _decoded(path, container, track, heard):
            if begin is None:
                own = seconds(heard.start_time, heard) if heard else None
                begin = min(start, start if own is None else own)
            while shown is not None and begin + (index + 0.5) / FRAME_RATE < start:
                yield shown
                index += 1
            shown, end = picture, start + length
        if shown is None or begin is None:
            raise UserError(f"{path}: its video track holds no picture; replace the file")
        while index == 0 or begin + (index + 0.5) / FRAME_RATE < end:
            yield shown
            index += 1


def _decoded(
    path: Path, container: InputContainer, track: VideoStream, heard: AudioStream | None
) -> Iterator[tuple[float, np.ndarray, float]]:
    """Time, picture and length of each one that can be decoded."""
    grey = VideoReformatter()
    usual = float(1 / (track.average_rate or FRAME_RATE))
    after: float | None = None
    reader = Reader(path, container, [track, heard] if heard else [track])
    for frame in reader.frames(track):
        if max(frame.width, frame.height) > LARGEST:
            raise UserError(f"{path}: claims pictures of {frame.width} x {frame.height} pixels; replace the file")
        start = seconds(frame.pts, frame)
        start = after or 0.0 if start is None else start  # without a stamp, it follows the one before
        length = seconds(frame.duration, frame) or usual
        after = start + length
        yield start, _shown(grey.reformat(frame, format="gray"), frame, track), length


def _shown(picture: VideoFrame, frame: VideoFrame, track: VideoStream) -> np.ndarray:
    """`picture` with square pixels, turned as the decoded `frame` asks for, uint8 (height, width)."""
    array: np.ndarray = picture.to_ndarray()
    shape = track.sample_aspect_ratio
    if shape and shape > 0 and shape != 1 and 1 / 8 < shape < 8:
        height, width = array.shape
        size = (round(width * shape), height) if shape > 1 else (width, round(height / shape))
        array = cv2.resize(array, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.rot90(array, round(frame.rotation / 90)))
