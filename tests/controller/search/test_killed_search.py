"""A search with two workers, killed (SIGKILL) at random moments, a worker and the parent by turns.

The evaluations are made up, take half a second each and leave a line in a file when they begin. Run as a script, this
file is the search that is killed: `test_killed_search.py FOLDER SECONDS`.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from landscape import Landscape, parameters

from controller.ladder.ledger import Ledger
from controller.search.loop import LEDGER, RESULT, search
from controller.search.reward import Costs
from controller.search.settings import SearchSettings
from supernet.space import SearchSpace

pytestmark = pytest.mark.slow

SETTINGS = SearchSettings(episodes=30, workers=2)
KILLS = 10
SECONDS = 0.5  # of one evaluation
LOG = "begun.log"


def test_a_search_killed_again_and_again_ends_as_an_undisturbed_one_and_evaluates_nothing_twice(tmp_path):
    calm, killed, rng = tmp_path / "calm", tmp_path / "killed", random.Random(0)
    finish(start(calm, 0.0))
    known = []  # at each kill, the subnets in the ledger and the number of evaluations begun
    process = start(killed, SECONDS)
    for kill in range(KILLS):
        worker_is_next = kill % 2 == 0
        workers = wait_for(killed, process, evaluations=rng.randint(0, 4))
        time.sleep(rng.uniform(0, 2 * SECONDS))
        os.kill(rng.choice(workers) if worker_is_next else process.pid, signal.SIGKILL)
        known.append((set(dict(rows(killed))), len(begun(killed))))
        if not worker_is_next:
            process.wait()
            assert not outlived(workers)
            process = start(killed, SECONDS)
    finish(process)

    evaluated, kept = begun(killed), rows(killed)
    under_way = sum(1 if kill % 2 == 0 else SETTINGS.workers for kill in range(KILLS))
    assert not [subnet for before, line in known for subnet in evaluated[line:] if subnet in before]
    assert len(evaluated) - len(set(evaluated)) <= under_way  # evaluated again
    assert set(evaluated) == set(dict(kept))
    assert len(kept) == len(dict(kept))
    assert sorted(kept) == sorted(rows(calm))
    assert (killed / RESULT).read_bytes() == (calm / RESULT).read_bytes()


def start(folder: Path, seconds: float) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with folder.with_suffix(".log").open("ab") as log:
        return subprocess.Popen([sys.executable, __file__, str(folder), str(seconds)], stderr=log, env=environment)


def finish(process: subprocess.Popen) -> None:
    assert process.wait() == 0, f"the search failed: {process.args}"


def wait_for(folder: Path, process: subprocess.Popen, evaluations: int) -> list[int]:
    """Wait until as many more evaluations have begun and both workers are there; the process ids of the workers."""
    before = len(begun(folder))
    while len(workers := workers_of(process)) < SETTINGS.workers or len(begun(folder)) < before + evaluations:
        assert process.poll() is None, "the search ended before it could be killed; make it longer"
        time.sleep(0.02)
    return workers


def workers_of(process: subprocess.Popen) -> list[int]:
    command = ["pgrep", "--parent", str(process.pid), "--full", "spawn_main"]
    return [int(pid) for pid in subprocess.run(command, capture_output=True, text=True).stdout.split()]


def outlived(workers: list[int], seconds: float = 60) -> int:
    """How many of the processes still run after `seconds`. One that was starting notices when it has started."""
    deadline = time.monotonic() + seconds
    command = ["ps", "-o", "stat=", "-p", ",".join(map(str, workers))]
    while True:
        states = subprocess.run(command, capture_output=True, text=True).stdout.split()
        left = sum(not state.startswith("Z") for state in states)  # Z: ended, and not yet collected by anyone
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def begun(folder: Path) -> list[str]:
    log = folder / LOG
    return [line.split()[1] for line in log.read_text().splitlines()] if log.is_file() else []


def rows(folder: Path) -> list[tuple[str, str]]:
    """Subnets and records of the ledger."""
    if not (folder / LEDGER).is_file():
        return []
    with Ledger(folder / LEDGER) as ledger:
        return [(identity["subnet"], str(record)) for identity, record in ledger.rows()]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    search(SearchSpace(), Landscape(float(sys.argv[2]), folder / LOG), SETTINGS, folder, Costs(parameters))
