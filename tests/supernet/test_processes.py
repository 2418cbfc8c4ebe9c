"""What a task in the pool of worker processes returns, raises and costs, and that no worker outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Lock

import cv2
import pytest
import torch

from supernet import processes
from supernet.errors import UserError
from supernet.processes import WorkerDied, WorkerPool, in_worker

PARENT = """
import os, pathlib, sys, time
from supernet.processes import WorkerPool

def work(path):
    pathlib.Path(path).write_text(str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    with WorkerPool(1) as pool:
        pool.submit(work, sys.argv[1]).result()
"""


@pytest.fixture(scope="module")
def pool():
    """Two processes for most tests of this file, since each takes seconds to start."""
    with WorkerPool(2, threads=3, shared=("shared",)) as pool:
        yield pool


def whereabouts(shared):
    return shared, os.getpid(), in_worker(), torch.get_num_threads(), cv2.getNumThreads()


def measure(shared, array):
    return array.sum(), array


def refuse(shared):
    raise UserError("clip.wav: cannot be read")


def die(shared, code):
    os._exit(code)


def unpicklable(shared):
    return lambda: None


def sleep(shared, seconds):
    time.sleep(seconds)


def note(path, number):
    with path.open("a") as file:
        file.write(f"{number}\n")
    if number == 3:
        raise UserError("three")
    time.sleep(0.05)


def test_a_task_runs_in_a_process_that_is_used_again(pool):
    found = {pool.submit(whereabouts).result() for _ in range(6)}
    assert len({pid for _, pid, *_ in found} - {os.getpid()}) in (1, 2)
    assert {(shared, *rest) for shared, _, *rest in found} == {("shared", True, 3, 3)}


def test_more_than_a_pipe_holds_goes_there_and_back(pool):
    array = torch.arange(10**6)
    total, back = pool.submit(measure, array).result()
    assert total == array.sum() and torch.equal(back, array)


def test_what_a_task_raises_is_raised_here_with_where_it_was_raised(pool):
    error = pool.submit(refuse).exception()
    assert type(error) is UserError and str(error) == "clip.wav: cannot be read"
    assert "in refuse" in error.__notes__[0]
    with pytest.raises(Exception, match="[Pp]ickle"):
        pool.submit(unpicklable).result()


def test_a_death_costs_its_own_task_and_is_one_line(pool):
    futures = [pool.submit(die, 7), *(pool.submit(whereabouts) for _ in range(4))]
    with pytest.raises(WorkerDied, match=r"^a worker process died \(exit code 7\), .*; use fewer workers"):
        futures[0].result()
    assert isinstance(futures[0].exception(), UserError)
    assert all(future.result()[0] == "shared" for future in futures[1:])


def test_a_task_beyond_its_time_is_ended(pool):
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        pool.submit(sleep, 60, time_limit=0.2).result()
    assert time.monotonic() - began < 30
    assert pool.submit(sleep, 0, time_limit=30).result() is None


def test_a_worker_killed_idle_costs_nothing(pool):
    for pid in {pool.submit(whereabouts).result()[1] for _ in range(6)}:
        os.kill(pid, signal.SIGKILL)
    assert [pool.submit(whereabouts).result()[0] for _ in range(4)] == ["shared"] * 4


def test_however_many_workers_were_killed_idle_a_task_is_done():
    with WorkerPool(5, shared=("shared",)) as pool:
        for future in [pool.submit(sleep, 0.5) for _ in range(5)]:
            future.result()
        workers = [worker.process for worker in pool._living]
        assert len(workers) > 3
        for process in workers:
            process.kill()
            process.join()
        assert pool.submit(whereabouts).result()[1] not in {process.pid for process in workers}


class Awkward(Exception):
    """Cannot be built again from its message."""

    def __init__(self, here: str, there: str) -> None:
        super().__init__(f"{here} and {there}")


def fail_awkwardly(shared):
    raise Awkward("here", "there")


def fail_with_a_lock(shared):
    raise ValueError("held", Lock())


@pytest.mark.parametrize(
    ("fail", "says"), [(fail_awkwardly, "Awkward: here and there"), (fail_with_a_lock, "ValueError: .*held")]
)
def test_an_exception_that_cannot_travel_is_told(pool, fail, says):
    with pytest.raises(RuntimeError, match=says) as raised:
        pool.submit(fail).result()
    assert "In a worker process" in raised.value.__notes__[0]
    assert pool.submit(whereabouts).result()[0] == "shared"


class Stillborn(processes._Worker):
    """Dies before it begins, `times` times."""

    times = started = 0

    def __init__(self, *arguments):
        super().__init__(*arguments)
        Stillborn.started += 1
        if Stillborn.started <= Stillborn.times:
            self.process.kill()


@pytest.mark.parametrize("times", [2, 9])
def test_workers_that_die_before_they_begin_are_replaced_until_it_is_no_accident(monkeypatch, times):
    monkeypatch.setattr(processes, "_Worker", Stillborn)
    monkeypatch.setattr(Stillborn, "times", times)
    monkeypatch.setattr(Stillborn, "started", 0)
    with WorkerPool(1) as pool:
        future = pool.submit(os.getpid)
        if times == 2:
            assert future.result() != os.getpid()
        else:
            with pytest.raises(WorkerDied, match="exit code -9 before it began"):
                future.result()
    assert Stillborn.started == 3


def test_leaving_the_pool_ends_what_runs_and_begins_nothing_more(tmp_path):
    path = tmp_path / "begun"
    with pytest.raises(UserError, match="three"):
        with WorkerPool(1, shared=(path,)) as pool:
            futures = [pool.submit(note, number) for number in range(200)]
            for future in futures:
                future.result()
    begun = path.read_text()
    assert len(begun.split()) < 50
    time.sleep(0.2)
    assert path.read_text() == begun
    assert not pool._living


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_ends_with_its_parent(tmp_path, end):
    script, told = tmp_path / "parent.py", tmp_path / "worker"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, str(script), str(told)], env=environment) as parent:
        until(lambda: told.is_file() and told.read_text())
        parent.send_signal(end)
    worker = int(told.read_text())
    until(lambda: not Path(f"/proc/{worker}").exists() or " Z " in Path(f"/proc/{worker}/stat").read_text())


def until(happened, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
