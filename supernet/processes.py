"""Worker processes: whether this is one, and how it ends with its parent, which every pool of them begins with."""

from __future__ import annotations

import os
from multiprocessing import parent_process
from multiprocessing.connection import wait
from threading import Thread


def in_worker() -> bool:
    """Whether this is a worker process, whose progress bars would be written across those of its parent."""
    return parent_process() is not None


def end_with_parent() -> None:
    """Called in a worker: it ends once its parent is gone, however that was killed. Nobody waits for its work, and the
    same command, started again, would find it at work on the same files."""
    if parent := parent_process():  # the first process has none
        Thread(target=_watch, args=[parent.sentinel], daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
