"""Kill the whole job (SIGKILL) at random moments of training, search and retraining, and compare the end with that of
an undisturbed run.

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

STAGES = ("supernet", "search", "retrain")
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
        calm = Path(folder, "calm")
        finish(start(options.config, calm, folder))
        before, seconds = outcome(calm), json.loads((calm / "stage_seconds.json").read_text())
        print("undisturbed: " + ", ".join(f"{stage} {seconds[stage]:.1f} s" for stage in STAGES), flush=True)
        while kills < options.kills:  # each run is killed once in every stage, then left to end and compared
            run = Path(folder, f"killed{runs}")
            for stage in STAGES[: options.kills - kills]:
                kill(start(options.config, run, folder), stage, rng.uniform(0, 0.9 * seconds[stage]), run)
                kills += 1
            finish(start(options.config, run, folder))
            after = outcome(run)
            differences |= {name for name, value in before.items() if after.get(name) != value}
            runs += 1
    verdict = f"DIFFERENT: {', '.join(sorted(differences))}" if differences else "the same outcome"
    print(f"{kills} kills in {runs} runs; {verdict}")
    return 1 if differences else 0


def kill(process: subprocess.Popen, stage: str, seconds: float, run: Path) -> None:
    """Kill the job and its workers `seconds` after it announced `stage`; leave with an error when it ended before."""
    log, seen = run.with_suffix(".log"), run.with_suffix(".log").stat().st_size
    while process.poll() is None and f"] {stage} ".encode() not in log.read_bytes()[seen:]:
        time.sleep(0.02)
    try:
        process.wait(timeout=seconds)
        sys.exit(f"the job ended (exit code {process.returncode}) before its kill in {stage}; see {log}")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(f"  killed {seconds:.1f} s into {stage}", flush=True)


def start(config: str, run: Path, folder: str) -> subprocess.Popen:
    log = Path(folder, f"{run.name}.log").open("ab")
    return subprocess.Popen([*COMMAND, config, "--run", str(run)], stdout=log, stderr=log, start_new_session=True)


def finish(process: subprocess.Popen) -> None:
    if process.wait():
        sys.exit(f"the job failed with exit code {process.returncode}: {' '.join(map(str, process.args))}")


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
