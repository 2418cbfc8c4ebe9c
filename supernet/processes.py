"""Worker processes: the one pool of them, and whether this is one."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from os import _exit
from threading import Lock, Thread
from traceback import format_exc
from typing import Any

import cv2
import torch

from supernet.errors import UserError

CONTEXT = get_context("spawn")  # a forked process cannot use CUDA, and can hang on a lock of its parent's threads
BEGINNINGS = 3  # of a task whose worker is found dead; more than that is no accident


class WorkerDied(UserError):
    """A process ended before its task did: killed, out of memory, crashed."""

    def __init__(self, how: str) -> None:
        why = "often for lack of memory; use fewer workers or smaller batches"
        super().__init__(f"a worker process died ({how}), {why}")


class WorkerPool:
    """Processes that do tasks, each one at a time, behind the futures of `concurrent.futures`.

    A process is started when it is first needed. One that dies costs its own task, and nothing where that had not
    begun, and is replaced. A context manager: leaving it ends the processes, whatever they are doing, and cancels what
    waits; none outlives this process, however that ends. Ctrl-C in a shell reaches this process alone.

    Args:
        workers: processes.
        threads: of torch and OpenCV in each.
        shared: first arguments of every task, sent to each process once.
    """

    def __init__(self, workers: int, threads: int = 1, shared: tuple = ()) -> None:
        self._threads, self._shared = threads, shared
        self._guides = ThreadPoolExecutor(workers)  # a thread hands a process its task, and waits for the answer
        self._idle: list[_Worker] = []
        self._living: set[_Worker] = set()
        self._lock, self._closed = Lock(), False

    def submit(self, function: Callable[..., Any], *arguments: Any, time_limit: float | None = None) -> Future:
        """`function(*shared, *arguments)` in a worker. The future raises what the function raised, WorkerDied when its
        process ended, and TimeoutError when it took longer than `time_limit`, in seconds, which ends its process."""
        return self._guides.submit(self._do, function, arguments, time_limit)

    def close(self) -> None:
        self._guides.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._closed = True
            for worker in self._living:
                worker.process.kill()
        self._guides.shutdown()
        for worker in self._idle:
            self._end(worker)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _do(self, function: Callable[..., Any], arguments: tuple, time_limit: float | None) -> Any:
        worker = self._begin(pickle.dumps((function, arguments)))
        if not worker.connection.poll(time_limit):
            self._end(worker)
            raise TimeoutError(f"took longer than {time_limit:g} s")
        try:
            answer = worker.connection.recv_bytes()
        except (EOFError, OSError):
            code = self._end(worker)
            raise WorkerDied(f"exit code {code}") from None
        self._idle.append(worker)
        value, error = pickle.loads(answer)
        if error is not None:
            raise error
        return value

    def _begin(self, task: bytes) -> _Worker:
        """The worker that has begun the task."""
        for _ in range(BEGINNINGS):
            worker = self._idle_or_new()
            try:
                worker.connection.send_bytes(task)
                worker.connection.recv_bytes()  # it has begun
                return worker
            except (EOFError, OSError):
                code = self._end(worker)
        raise WorkerDied(f"exit code {code} before it began")

    def _idle_or_new(self) -> _Worker:
        with suppress(IndexError):
            while True:
                worker = self._idle.pop()
                if worker.process.is_alive():
                    return worker
                self._end(worker)
        worker = _Worker(self._threads, self._shared)
        with self._lock:
            self._living.add(worker)
            if self._closed:
                worker.process.kill()
        return worker

    def _end(self, worker: _Worker) -> int | None:
        """End a process; its exit code."""
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        with self._lock:
            self._living.discard(worker)
        return worker.process.exitcode


class _Worker:
    """A process, and the way to it, which ends with it."""

    def __init__(self, threads: int, shared: tuple) -> None:
        self.connection, far_end = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_serve, args=[far_end, threads, shared])
        self.process.start()
        far_end.close()


def in_worker() -> bool:
    """Whether this is a worker process, whose progress bars would be written across those of its parent."""
    return parent_process() is not None


def _serve(connection: Connection, threads: int, shared: tuple) -> None:
    """What a worker does: tasks, until its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    with suppress(EOFError, ConnectionError):
        while True:
            task = connection.recv_bytes()
            connection.send_bytes(b"begun")
            connection.send_bytes(_answer(shared, task))


def _answer(shared: tuple, task: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(task)
        return pickle.dumps((function(*shared, *arguments), None))
    except Exception as error:
        trace = f"In a worker process:\n{format_exc()}"
        error.add_note(trace)
        try:
            pickle.loads(answer := pickle.dumps((None, error)))
        except Exception:  # whatever an exception's own way of being built raises
            stands_in = RuntimeError(f"{type(error).__name__}: {error}")
            stands_in.add_note(trace)
            return pickle.dumps((None, stands_in))
        return answer


def _end_with_parent() -> None:
    """Nobody waits for an orphan's work, and the same command, started again, would find it at work on the same
    files."""
    if parent := parent_process():
        wait([parent.sentinel])
    _exit(1)
