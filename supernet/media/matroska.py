"""Matroska and webm files damaged in the middle: the rest of them, as a file of its own.

FFmpeg goes on after damage at the next cluster only, and many files have a cluster for all. Here the next blocks are
found by their own headers; a cluster around them makes them readable.
"""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path

CLUSTER, TIMESTAMP, SIMPLE, GROUP = b"\x1f\x43\xb6\x75", b"\xe7", 0xA3, 0xA0
CHECKSUM = b"\xbf\x84"  # and four bytes
UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"
IN_A_ROW = 3  # elements that must follow each other, or end with the file, before they are believed
MOST_TRACKS = 32
LARGEST = 1 << 26  # bytes of a block


class Rest:
    """A file made of some bytes and, behind them, the end of another one; FFmpeg reads it as any file.

    Args:
        head: the first bytes.
        path: of the other.
        place: where in that one its end begins, bytes.
    """

    def __init__(self, head: bytes, path: Path, place: int) -> None:
        self.head, self.place = head, place
        self._file, self._at = path.open("rb"), 0
        self._size = len(head) + path.stat().st_size - place

    def read(self, size: int) -> bytes:
        part = self.head[self._at : self._at + size]
        if not part:
            self._file.seek(self.place + self._at - len(self.head))
            part = self._file.read(size)
        self._at += len(part)
        return part

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._file.close()


def rest(path: Path, place: int) -> Rest | None:
    """What follows damage that lies behind the byte `place`; None where nothing more can be found."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        first = content.find(CLUSTER)
        if not 0 <= first < place:
            return None
        for found in re.compile(rb"[\xa3\xa0]|\x1f\x43\xb6\x75").finditer(content, place):
            at = found.start()
            if found[0] == CLUSTER:
                return Rest(content[:first], path, at)
            if _follow(content, at) and (stamp := _timestamp(content, content.rfind(CLUSTER, 0, at))):
                return Rest(content[:first] + CLUSTER + UNKNOWN_SIZE + stamp, path, at)
        return None


def _follow(content: mmap.mmap, at: int) -> bool:
    """Whether elements that a cluster may hold lie one after the other from there on."""
    for _ in range(IN_A_ROW):
        if at == len(content) or content[at : at + len(CLUSTER)] == CLUSTER:
            return True
        if at >= len(content) or content[at] not in (SIMPLE, GROUP):
            return False
        size, width = _number(content, at + 1)
        if size is None or not 4 < size < LARGEST or at + 1 + width + size > len(content):
            return False
        head = at + 1 + width
        if content[at] == SIMPLE and not (0x80 < content[head] <= 0x80 + MOST_TRACKS and not content[head + 3] & 0x70):
            return False
        at = head + size
    return True


def _timestamp(content: mmap.mmap, cluster: int) -> bytes | None:
    """The element with a cluster's time, which its blocks count from."""
    _, width = _number(content, cluster + len(CLUSTER))
    at = cluster + len(CLUSTER) + width
    if content[at : at + 2] == CHECKSUM:
        at += 6
    if content[at : at + 1] != TIMESTAMP:
        return None
    size, width = _number(content, at + 1)
    return None if size is None else content[at : at + 1 + width + size]


def _number(content: mmap.mmap, at: int) -> tuple[int | None, int]:
    """A size as EBML writes it, and how many bytes it takes; None for one that is unknown or none."""
    if at >= len(content) or not content[at]:
        return None, 1
    width = 9 - content[at].bit_length()
    value = int.from_bytes(content[at : at + width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), width
