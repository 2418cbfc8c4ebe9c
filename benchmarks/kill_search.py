"""Kill a search with two workers (SIGKILL) at random moments, a worker and the parent by turns, and compare its end
with that of an undisturbed search.

    .venv/bin/python benchmarks/kill_search.py --kills 10

The evaluations are made up, take half a second each and leave a line in a file when they begin. Checked: nothing that
the ledger had at a kill is evaluated again; at most the evaluations under way are repeated (one at a worker's death,
two at the parent's); no worker outlives its parent; ledger and search.json end as those of the undisturbed search.
Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from controller.ladder.evaluation import Evaluation
from controller.ladder.ledger import Ledger
from controller.search.loop import LEDGER, RESULT, search
from controller.search.reward import Costs
from controller.search.settings import SearchSettings
from eval.costs import parameters
from supernet.space import SearchSpace, Subnet

SETTINGS = SearchSettings(episodes=30, workers=2)


@dataclass
class MadeUp:
    """Quality in closed form, after `seconds`; each evaluation leaves its subnet in `log` when it begins."""

    seconds: float
    log: Path

    def evaluate(self, subnet: Subnet) -> Evaluation:
        with self.log.open("a") as file:
            file.write(f"{subnet}\n")
        time.sleep(self.seconds)
        quality = 11 + 4 * (parameters(subnet) / parameters(SearchSpace.largest)) ** 0.15
        return Evaluation(subnet, "finetuned", quality, 0.1, 64, (quality,), 0.0)

    def identity(self) -> dict:
        return {"fidelity": "finetuned", "seed": 0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one evaluation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--search", help="only search, in this folder")
    options = parser.parse_args()
    if options.search:
        run(Path(options.search), options.seconds)
        return 0
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        calm, killed = Path(folder, "calm"), Path(folder, "killed")
        began = time.monotonic()
        finish(start(calm, 0.0))
        print(f"undisturbed: {len(rows(calm))} evaluations, {time.monotonic() - began:.0f} s", flush=True)
        known, orphans = [], 0  # known: at each kill, the subnets in the ledger and the number of evaluations begun
        process = start(killed, options.seconds)
        for kill in range(options.kills):
            worker_is_next = kill % 2 == 0
            workers = wait_for(killed, process, evaluations=rng.randint(0, 4))
            time.sleep(rng.uniform(0, 2 * options.seconds))
            os.kill(rng.choice(workers) if worker_is_next else process.pid, signal.SIGKILL)
            known.append((set(dict(rows(killed))), len(begun(killed))))
            print(f"  killed {'a worker' if worker_is_next else 'the parent'}, {len(known[-1][0])} kept", flush=True)
            if not worker_is_next:
                process.wait()
                orphans += outlived(workers)
                process = start(killed, options.seconds)
        finish(process)
        return verdict(calm, killed, known, orphans)


def run(folder: Path, seconds: float) -> None:
    """The search that is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    search(SearchSpace(), MadeUp(seconds, folder / "begun.log"), SETTINGS, folder, Costs(parameters))


def start(folder: Path, seconds: float) -> subprocess.Popen:
    command = [sys.executable, __file__, "--search", str(folder), "--seconds", str(seconds)]
    return subprocess.Popen(command, stderr=folder.with_suffix(".log").open("ab"))


def finish(process: subprocess.Popen) -> None:
    if process.wait():
        sys.exit(f"the search failed with exit code {process.returncode}")


def wait_for(folder: Path, process: subprocess.Popen, evaluations: int) -> list[int]:
    """Wait until as many more evaluations have begun and both workers are there; the process ids of the workers."""
    before = len(begun(folder))
    while len(workers := workers_of(process)) < SETTINGS.workers or len(begun(folder)) < before + evaluations:
        if process.poll() is not None:
            sys.exit(f"the search ended (exit code {process.returncode}) before it could be killed; make it longer")
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
    log = folder / "begun.log"
    return log.read_text().splitlines() if log.is_file() else []


def rows(folder: Path) -> list[tuple[str, str]]:
    """Subnets and records of the ledger."""
    if not (folder / LEDGER).is_file():
        return []
    with Ledger(folder / LEDGER) as ledger:
        return [(identity["subnet"], str(record)) for identity, record in ledger.rows()]


def verdict(calm: Path, killed: Path, known: list[tuple[set[str], int]], orphans: int) -> int:
    evaluated, kept = begun(killed), rows(killed)
    repeated = len(evaluated) - len(set(evaluated))
    under_way = sum(1 if kill % 2 == 0 else SETTINGS.workers for kill in range(len(known)))
    faults = {
        "evaluated though kept": sum(subnet in before for before, line in known for subnet in evaluated[line:]),
        "repeated though not under way": max(0, repeated - under_way),
        "lost": len(set(evaluated) - set(dict(kept))),
        "kept twice": len(kept) - len(dict(kept)),
        "other ledger": int(sorted(kept) != sorted(rows(calm))),
        "other search.json": int((killed / RESULT).read_bytes() != (calm / RESULT).read_bytes()),
        "workers that outlived their parent": orphans,
    }
    print(f"{len(known)} kills: {len(kept)} kept, {len(evaluated)} begun, {repeated} of them again after a kill")
    print(", ".join(f"{name}: {count}" for name, count in faults.items()))
    return 1 if any(faults.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
