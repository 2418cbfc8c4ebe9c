"""How long the sound of a file should be, where its header says so: what FFmpeg tells may be reckoned from its size."""

from __future__ import annotations

from pathlib import Path

HEAD = 1 << 16  # bytes in which the first frame of an MP3 is looked for
BY_HEADER = {"mov", "matroska", "flac", "aiff", "caf", "w64", "avi", "asf", "au", "mxf", "tta", "wv", "ape", "flv"}
ENDLESS = 0x7FFFF000  # bytes; from here on the length in a RIFF header means "unknown", as a stream's


def promised(path: Path, form: str, seconds: float | None, byte_rate: float) -> float | None:
    """Length that the header promises, s; None where it promises nothing.

    Args:
        path: of the file.
        form: FFmpeg's name of its container.
        seconds: length that FFmpeg tells.
        byte_rate: of uncompressed sound, bytes a second; 0 for any other.
    """
    kinds = set(form.split(","))
    if "wav" in kinds:
        return _riff(path, byte_rate)
    if "mp3" in kinds:
        return seconds if _counted(path) else None
    return seconds if kinds & BY_HEADER else None


def unfinished(path: Path, form: str) -> bool:
    """Whether an Ogg stream lacks its last page, so that something is missing, and nobody knows how much."""
    if form != "ogg":
        return False
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - HEAD))
        end = file.read()
    last = end.rfind(b"OggS")
    return last < 0 or not end[last + 5 : last + 6] or not end[last + 5] & 4


def _riff(path: Path, byte_rate: float) -> float | None:
    """By the length of the chunk `data`, which FFmpeg corrects to what is there."""
    with path.open("rb") as file:
        if file.read(4) != b"RIFF" or not byte_rate:
            return None
        file.seek(12)
        while len(head := file.read(8)) == 8:
            size = int.from_bytes(head[4:], "little")
            if head[:4] == b"data":
                return size / byte_rate if 0 < size < ENDLESS else None
            file.seek(size + size % 2, 1)
    return None


def _counted(path: Path) -> bool:
    """Whether the first frame of an MP3 holds the number of frames, as those of LAME and others do."""
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3":  # a tag, whose length has 7 bits a byte
            file.seek(10 + sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:10]))))
        else:
            file.seek(0)
        first = file.read(HEAD)
    return any(mark in first for mark in (b"Xing", b"Info", b"VBRI"))
