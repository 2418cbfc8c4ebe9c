"""Signals that end the program: raised where it stands, never amid what must be whole, and again where that was lost.

Libraries swallow what a handler raises within their calls, PyAV's among them; so who reads a file asks, too.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_asked = 0  # the signal that has asked for the end
_held = 0  # how many blocks are to be whole


class Terminated(BaseException):
    """A signal other than Ctrl-C that ends the program, raised so that nothing half-written stays."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def raise_signals() -> None:
    """From now on, a signal that would end the program raises KeyboardInterrupt or Terminated in the main thread."""
    global _asked
    _asked = 0
    if threading.current_thread() is threading.main_thread():
        for number, default in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGTERM, signal.SIG_DFL),
            (signal.SIGHUP, signal.SIG_DFL),
        ):
            if signal.getsignal(number) == default:
                signal.signal(number, _end)


def heed() -> None:
    """Raise what a signal has asked for, where that was lost or put off."""
    if _asked and not _held and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt if _asked == signal.SIGINT else Terminated(_asked)


@contextmanager
def unbroken() -> Iterator[None]:
    """A block in which signals wait."""
    global _held
    _held += 1
    try:
        yield
    finally:
        _held -= 1
    heed()


def _end(number: int, frame: object) -> None:
    global _asked
    _asked = number
    heed()
