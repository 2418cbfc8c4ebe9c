"""Kill the whole job at random moments (SIGKILL), start it again, and compare the end with an undisturbed run.

    .venv/bin/python benchmarks/kill_and_resume.py --kills 10

Compared byte for byte: the quality table without its measured columns, the search, the winner's weights, the
evaluation. Exit code 1 on any difference.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MEASURED = ("rtf", "latency_ms", "memory_mb")
COMMAND = (sys.executable, "-m", "controller", "quickstart", "--threads", "1", "--config")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--config", default="smoke")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, kills, runs, differences = random.Random(options.seed), 0, 0, set()
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        finish(start(options.config, Path(folder, "calm"), folder))
        seconds = time.monotonic() - begun
        print(f"undisturbed: {seconds:.0f} s", flush=True)
        before = outcome(Path(folder, "calm"))
        while kills < options.kills:  # a run that ends between two kills is compared, and another one begun
            run = Path(folder, f"killed{runs}")
            while kills < options.kills and killed(
                start(options.config, run, folder), rng.uniform(3, seconds / 2), run
            ):
                kills += 1
            finish(start(options.config, run, folder))
            after = outcome(run)
            differences |= {name for name, value in before.items() if after.get(name) != value}
            runs += 1
    verdict = f"DIFFERENT: {', '.join(sorted(differences))}" if differences else "the same outcome"
    print(f"{kills} kills in {runs} runs; {verdict}")
    return 1 if differences else 0


def killed(process: subprocess.Popen, seconds: float, run: Path) -> bool:
    """Kill the job and its workers after some seconds; False when it had ended by itself."""
    try:
        if process.wait(timeout=seconds):
            finish(process)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(f"  killed after {seconds:.1f} s, in {stage_of(run)}", flush=True)
        return True


def start(config: str, run: Path, folder: str) -> subprocess.Popen:
    log = Path(folder, f"{run.name}.log").open("a")
    return subprocess.Popen([*COMMAND, config, "--run", str(run)], stdout=log, stderr=log, start_new_session=True)


def finish(process: subprocess.Popen) -> None:
    if process.wait():
        sys.exit(f"the job failed with exit code {process.returncode}: {' '.join(map(str, process.args))}")


def stage_of(run: Path) -> str:
    """How far a killed run had come, from what lies in its folder."""
    marks = {
        "report.html": "the end",
        "winner.safetensors": "evaluation",
        "retrained": "retraining",
        "search": "search",
        "quality.csv": "scoring",
        "quality.csv.partial": "scoring",
        "supernet": "training",
        "corpus": "the corpus",
    }
    return next((stage for mark, stage in marks.items() if (run / mark).exists()), "start-up")


def outcome(run: Path) -> dict[str, str]:
    """Everything that must not depend on kills, by name."""
    lines = (run / "quality.csv").read_text().splitlines()
    table = [
        {key: value for key, value in row.items() if key not in MEASURED}
        for row in csv.DictReader(line for line in lines if not line.startswith("#"))
    ]
    search = json.loads((run / "search" / "search.json").read_text())
    search["winner"].pop("seconds")
    files = {path.name: path for path in sorted(run.glob("retrained/*/evaluation_*.json"))}
    weights = {"supernet": run / "supernet" / "weights.safetensors", "winner": run / "winner.safetensors"}
    return {
        "table": json.dumps(table),
        "search": json.dumps(search),
        **{name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in (weights | files).items()},
    }


if __name__ == "__main__":
    sys.exit(main())
