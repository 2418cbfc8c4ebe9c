"""Blocks of sound in the places that their time stamps give them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

JITTER = 0.05  # s; stamps that are less off are rounding
PIECE = 1 << 16  # samples of silence given at a time
BELIEVED = 0.5  # s of sound that must agree on a pause, or a single late packet would make one


class Timeline:
    """Sound in its place: silence where the stamps leave a pause, and otherwise block after block.

    A pause counts where all blocks of the next half second agree on it, so that one late packet moves nothing. Sound
    whose stamps run behind what has been heard follows at once: nothing is cut.

    Args:
        rate: of the sound, Hz.
        begin: time of the first sample, s; sound that starts later is led by silence.
    """

    def __init__(self, rate: int, begin: float) -> None:
        self.rate, self.begin = rate, begin
        self.done = 0  # samples given
        self.led = 0  # of these, silence before the first sound
        self.silence = 0  # and silence in pauses
        self._waiting: deque[tuple[float, bool, np.ndarray]] = deque()  # how far behind its turn it is stamped, s
        self._length = 0  # samples that wait

    @property
    def length(self) -> int:
        """Samples given, and those that wait."""
        return self.done + self._length

    @property
    def sounding(self) -> float:
        """From the first sound to the end, s."""
        return (self.length - self.led) / self.rate

    def add(self, block: np.ndarray, start: float | None, broken: bool = False) -> Iterator[np.ndarray]:
        """Blocks that are settled by one more.

        Args:
            block: (samples, channels).
            start: its time, s; None where it follows the block before.
            broken: whether something before it could not be decoded, so that the least pause counts.
        """
        turn = self.begin + (self.done + self._length) / self.rate
        pause = 0.0 if start is None else start - turn
        if start is None and self._waiting:
            pause = self._waiting[-1][0]  # as the block before
        self._waiting.append((pause, broken, block))
        self._length += len(block)
        while self._length - len(self._waiting[0][2]) >= BELIEVED * self.rate:
            yield from self._settle()

    def flush(self) -> Iterator[np.ndarray]:
        """What still waits."""
        while self._waiting:
            yield from self._settle()

    def _settle(self) -> Iterator[np.ndarray]:
        pause, (_, broken, block) = min(pause for pause, *_ in self._waiting), self._waiting[0]
        first = self.done == 0
        if pause > (1.5 / self.rate if first or broken else JITTER):
            silence = round(pause * self.rate)
            self._waiting = deque((p - silence / self.rate, b, x) for p, b, x in self._waiting)
            self.done += silence
            if first:
                self.led = silence
            else:
                self.silence += silence
            for at in range(0, silence, PIECE):
                yield np.zeros((min(PIECE, silence - at), block.shape[1]), np.float32)
        self._waiting.popleft()
        self._length -= len(block)
        self.done += len(block)
        yield block
