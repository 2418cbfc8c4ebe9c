"""Does this commit compute the same bits as another? Runs the smoke job here and in a clone of the other commit, one
thread each, and compares the two run folders byte for byte: tensors and headers of weights and checkpoints, quality
table, search history, ledger, evaluations, corpus. Leaves with 1 when anything differs that EXCEPTED does not name.

    .venv/bin/python benchmarks/same_bits.py --other CLONE --keep DIR
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import deserialize

ROOT = Path(__file__).parents[1]
JOB = ("-m", "controller", "quickstart", "--config", "smoke", "--threads", "1")
KERNELS = (
    "--supernet.kernels=torch",
    "--finetune.kernels=torch",
    "--retrain.kernels=torch",
)  # the bits of before
VERSIONS = "from importlib.metadata import distributions as d; print(*(f'{x.name}=={x.version}' for x in d()))"
MOST_SHOWN = 20  # differences


class Excepted(NamedTuple):
    """What may differ.

    Args:
        files: pattern of paths below the run's folder.
        fields: JSON keys at any depth, columns, header lines; none: the whole file.
        why: in a few words.
    """

    files: str
    fields: tuple[str, ...]
    why: str


EXCEPTED = (
    Excepted("stage_seconds.json", (), "measured times"),
    Excepted("search/*", ("seconds",), "measured times of the evaluations"),
    Excepted("quality.csv", ("rtf", "latency_ms"), "measured times"),
    Excepted("report.html", (), "shows measured times, and may be laid out anew"),
    Excepted("config.yaml", (), "the settings as they were given, with the run's own folder"),
    Excepted("*", ("sha256",), "hash of a file or a record, which others may lack"),
    Excepted("*.safetensors", ("tensors",), "hash of the tensors, which others may lack"),
    Excepted("*/SHA256SUMS", (), "hashes of a corpus's files, which others may lack"),
    Excepted("*.safetensors", ("run",), "hash of what a training depends on, whose fields have other names"),
    Excepted("*.safetensors", ("class",), "of the network, which was always the same"),
    Excepted("*.clips.safetensors", (), "scores by clip, which others may lack"),
    Excepted("*", ("metric_version",), "of scores, which others may not note"),
    Excepted("*.partial", ("identity",), "hash of what a score depends on, of which others may know less"),
    Excepted("search/*", ("identity", "key"), "the same"),
    Excepted("*.safetensors", ("precision", "kernels"), "what `auto` came to, which others do not note"),
    Excepted("*/validation.json", ("subnet",), "whose score it is, which others do not note"),
    Excepted(".lock", (), "held while a job runs"),
)
LEFT = {  # fields that leave the product after ee8efb0: no difference where they say what is done without them
    "fusion": "add",
    "dilation": "exponential",
    "mask_heads": "one",
    "zero_init": False,
    "distillation_of": "waveform",
    "masked": True,
    "network": "lstm",
    "epsilon_in_ratio": True,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", type=Path, help="clone of the other commit; its .venv runs it where it has one")
    parser.add_argument("--keep", type=Path, help="new folder for the two runs, `here` and `other`")
    parser.add_argument("--as_they_are", action="store_true", help="run nothing, compare what --keep holds")
    options = parser.parse_args()
    if not (options.keep if options.as_they_are else options.other):
        parser.error("--as_they_are needs --keep DIR" if options.as_they_are else "--other CLONE is needed")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).resolve()
        if not options.as_they_are:
            run_both(options.other.resolve(), folder)
        found, compared = differences(folder / "here", folder / "other")
    print("excepted:")
    for files, fields, why in EXCEPTED:
        print(f"  {files:26}{', '.join(fields) or 'whole file':21}{why}")
    for field, value in LEFT.items():
        print(f"  {'*':26}{field:21}where it is {json.dumps(value)}, which is what is done without it")
    for line in found[:MOST_SHOWN]:
        print(line)
    verdict = f"{len(found)} DIFFERENT" if found else "the same bits"
    print(f"{compared} values and tensors of {len(contents(folder / 'here'))} files; {verdict}")
    return 1 if found else 0


def run_both(clone: Path, folder: Path) -> None:
    """The smoke job by this commit into `here`, by the clone into `other`, side by side."""
    if not (clone / "controller").is_dir():
        sys.exit(f"--other: {clone} is no clone of this project; give the folder that holds controller/")
    if folder.is_dir() and any(folder.iterdir()):
        sys.exit(f"--keep: {folder} is not empty; give another, or compare what it holds by --as_they_are")
    own = clone / ".venv/bin/python"
    sources = {"here": (ROOT, sys.executable), "other": (clone, str(own) if own.is_file() else sys.executable)}
    versions = [installed(python) for _, python in sources.values()]
    if unlike := [
        f"{name} {versions[0][name]} and {version}"
        for name, version in versions[1].items()
        if versions[0].get(name, version) != version
    ]:
        sys.exit(f"the two environments differ, and so may the bits: {', '.join(unlike)}")
    jobs = {name: start(*source, folder / name) for name, source in sources.items()}
    ended = {name: job.wait() for name, job in jobs.items()}
    for name, code in ended.items():
        if code:
            log = (folder / f"{name}.log").read_text(errors="replace")
            sys.exit(f"the job failed {name}, exit code {code}:\n{log[-1000:]}")


def start(sources: Path, python: str, run: Path) -> subprocess.Popen:
    """The smoke job of these sources, whose folder is only read."""
    run.mkdir(parents=True)
    settled = {"PYTHONPATH": str(sources), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    with run.with_suffix(".log").open("wb") as log:
        kernels = KERNELS if (sources / "supernet/kernels").is_dir() else ()
        command = [python, *JOB, *kernels, "--run", str(run)]
        return subprocess.Popen(command, cwd=run.parent, env=os.environ | settled, stdout=log, stderr=log)


def installed(python: str) -> dict[str, str]:
    """Package -> version, this project apart."""
    names = subprocess.run([python, "-c", VERSIONS], check=True, capture_output=True, text=True).stdout.split()
    return {name: version for name, version in (entry.split("==") for entry in names) if name != "ofa-avse"}


def differences(here: Path, other: Path) -> tuple[list[str], int]:
    """What differs between two runs, one line each, and how many values were compared."""
    mine, theirs = contents(here), contents(other)
    found = [f"  {name}: only {'here' if name in mine else 'in the other'}" for name in sorted(mine ^ theirs)]
    compared = 0
    for name in sorted(mine & theirs):
        a, b = (dict(values(folder, name)) for folder in (here, other))
        compared += len(a)
        for key in [*a, *(key for key in b if key not in a)]:
            if a.get(key) != b.get(key):
                found.append(f"  {name}: {key}: {told(a.get(key), b.get(key))}")
    return found, compared


def contents(run: Path) -> set[str]:
    """The files of a run that are compared. Leaves with an error where there is no finished run."""
    if not (run / "winner.safetensors").is_file():
        sys.exit(f"{run}: no finished run")
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    return {name for name in names if not any(fnmatch(name, e.files) and not e.fields for e in EXCEPTED)}


def values(run: Path, name: str) -> Iterator[tuple[str, Any]]:
    """Everything that is in a file: where it stands, and what it is."""
    path = run / name
    excepted = {field for e in EXCEPTED if fnmatch(name, e.files) for field in e.fields}
    if path.suffix == ".safetensors":
        data = path.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")  # of the tensors, behind the header
        yield from leaves(json.loads(json.loads(data[8:start])["__metadata__"]["header"]), "header", excepted)
        for key, tensor in sorted(deserialize(data)):
            yield key, (tensor["dtype"], tuple(tensor["shape"]), bytes(tensor["data"]))
    elif path.suffix == ".json":
        yield from leaves(json.loads(path.read_text()), "", excepted)
    elif path.suffix in (".jsonl", ".partial"):
        for number, line in enumerate(filter(None, path.read_text().splitlines())):
            yield from leaves(json.loads(line), f"line {number + 1}", excepted)
    elif path.suffix == ".csv":
        lines = path.read_text().splitlines()
        header = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
        yield from leaves(header, "header", excepted)
        for number, row in enumerate(csv.DictReader(line for line in lines if not line.startswith("# "))):
            yield from leaves(row, f"row {number + 1}", excepted)
    elif path.suffix == ".sqlite":
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            for row, key, identity, record in database.execute("SELECT row, key, identity, record FROM evaluations"):
                entry = {"key": key, "identity": json.loads(identity), "record": json.loads(record)}
                yield from leaves(entry, f"row {row}", excepted)
    else:
        yield "bytes", path.read_bytes()


def leaves(value: Any, where: str, excepted: set[str]) -> Iterator[tuple[str, str]]:
    """The values in a JSON document, each with its place, as text; without the fields excepted or left."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in excepted and not (key in LEFT and LEFT[key] == inner):
                yield from leaves(inner, f"{where}.{key}", excepted)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{where}[{index}]", excepted)
    else:
        yield where, json.dumps(value)


def told(here: Any, other: Any) -> str:
    """How two values differ; of tensors, in how many bytes."""
    if isinstance(here, tuple) and isinstance(other, tuple) and here[:2] == other[:2]:
        wrong = sum(a != b for a, b in zip(here[2], other[2], strict=True))
        return f"{here[0]} {here[1]}, {wrong} of {len(here[2])} bytes"
    mine, theirs = ("nothing" if value is None else str(value)[:60] for value in (here, other))
    return f"{mine} here, {theirs} in the other"


if __name__ == "__main__":
    sys.exit(main())
