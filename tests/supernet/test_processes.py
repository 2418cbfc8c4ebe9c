"""No worker outlives its parent, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import multiprocessing, os, pathlib, sys, time
from pebble import ProcessPool
from supernet.processes import end_with_parent

def work(path):
    pathlib.Path(path).write_text(str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    with ProcessPool(1, context=multiprocessing.get_context("spawn"), initializer=end_with_parent) as pool:
        pool.schedule(work, args=[sys.argv[1]]).result()
"""


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
