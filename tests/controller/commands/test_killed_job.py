"""The whole job, killed (SIGKILL) with its workers at random moments of training, search and retraining, ends as an
undisturbed one: byte for byte, measured times excepted."""

import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

STAGES = ("supernet", "search", "retrain")
MEASURED = ("rtf", "latency_ms", "memory_mb")
COMMAND = (sys.executable, "-m", "controller", "quickstart", "--threads", "1", "--config", "smoke", "--run")
RUNS = 4  # each killed once in every stage, then left to end


def test_a_job_killed_in_every_stage_ends_as_an_undisturbed_one(tmp_path):
    calm, rng = tmp_path / "calm", random.Random(0)
    finish(start(calm))
    expected, seconds = outcome(calm), json.loads((calm / "stage_seconds.json").read_text())
    for run in (tmp_path / f"killed{number}" for number in range(RUNS)):
        for stage in STAGES:
            kill(start(run), stage, rng.uniform(0, 0.9 * seconds[stage]), run)
        finish(start(run))
        assert outcome(run) == expected


def start(run: Path) -> subprocess.Popen:
    with run.with_suffix(".log").open("ab") as log:
        return subprocess.Popen([*COMMAND, str(run)], stdout=log, stderr=log, start_new_session=True)


def finish(process: subprocess.Popen) -> None:
    assert process.wait() == 0, f"the job failed: {process.args}"


def kill(process: subprocess.Popen, stage: str, seconds: float, run: Path) -> None:
    """Kill the job and its workers `seconds` after it announced `stage`."""
    log, seen = run.with_suffix(".log"), run.with_suffix(".log").stat().st_size
    while process.poll() is None and f"] {stage} ".encode() not in log.read_bytes()[seen:]:
        time.sleep(0.02)
    with pytest.raises(subprocess.TimeoutExpired):  # or it ended before its kill
        process.wait(timeout=seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def outcome(run: Path) -> dict[str, str]:
    """Everything that must not depend on kills, by name."""
    lines = (run / "quality.csv").read_text().splitlines()
    table = [
        {key: value for key, value in row.items() if key not in MEASURED}
        for row in csv.DictReader(line for line in lines if not line.startswith("#"))
    ]
    search = json.loads((run / "search" / "search.json").read_text())
    search["winner"].pop("seconds"), search.pop("sha256")
    files = {path.name: path for path in sorted(run.glob("evaluation_*.json"))}
    weights = {"supernet": run / "supernet" / "weights.safetensors", "winner": run / "winner.safetensors"}
    assert files
    return {
        "table": json.dumps(table),
        "search": json.dumps(search),
        **{name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in (weights | files).items()},
    }
