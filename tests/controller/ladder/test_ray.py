"""Evaluations on a real Ray cluster on this machine, whose worker processes are killed on the way."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from landscape import Landscape
from test_executor import BROKEN, CALM, DOOMED, MORTAL, Eventful, asked, until

from controller.ladder.evaluation import LedgeredEvaluator
from controller.ladder.executor import Executor
from controller.ladder.ledger import Ledger
from supernet.errors import UserError

PORT = 46379
START = "start --head --num-cpus 2 --disable-usage-stats --include-dashboard false --block"
NEEDS_RAY = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="Ray is not installed: pip install ray")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a cluster, started as a user would, and stopped with its first process."""
    log = tmp_path_factory.mktemp("ray") / "start.log"
    command = [Path(sys.executable).with_name("ray"), *START.split(), "--port", str(PORT)]
    modules = os.pathsep.join([str(Path(__file__).parent), *sys.path])  # where its workers find `test_executor`
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | {"PYTHONPATH": modules})
    until(lambda: process.poll() is not None or "Ray runtime started" in log.read_text())
    assert process.poll() is None, log.read_text()
    yield f"127.0.0.1:{PORT}"
    process.terminate()
    process.wait()


@NEEDS_RAY
def test_a_killed_ray_worker_costs_its_own_evaluation_which_is_tried_again(cluster, tmp_path):
    log = tmp_path / "asked.log"
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        with Executor(LedgeredEvaluator(Eventful(log=log), ledger), 2, cluster) as executor:
            found = {evaluation.subnet: evaluation for evaluation in executor.evaluate([MORTAL, *CALM])}
        kept = [record["subnet"] for _, record in ledger.rows()]
    assert found == {subnet: Landscape().evaluate(subnet) for subnet in [MORTAL, *CALM]}
    assert sorted(kept) == sorted(map(str, found))
    assert sorted(asked(log)) == sorted([str(MORTAL), *kept])


@NEEDS_RAY
@pytest.mark.parametrize(("subnet", "message"), [(BROKEN, "^clip.wav: cannot be read$"), (DOOMED, str(DOOMED))])
def test_what_goes_wrong_on_ray_is_one_line_and_the_others_are_kept(cluster, tmp_path, subnet, message):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        with pytest.raises(UserError, match=message):
            with Executor(LedgeredEvaluator(Eventful(log=tmp_path / "asked.log"), ledger), 2, cluster) as executor:
                list(executor.evaluate([subnet, CALM[0]]))
        assert [record["subnet"] for _, record in ledger.rows()] == [str(CALM[0])]


@NEEDS_RAY
def test_an_address_without_a_cluster_is_named(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger, pytest.raises(UserError, match="search.ray: .*127.0.0.1:1"):
        Executor(LedgeredEvaluator(Landscape(), ledger), 2, "127.0.0.1:1")


def test_without_ray_installed_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "controller.ladder.cluster", raising=False)
    with Ledger(tmp_path / "ledger.sqlite") as ledger, pytest.raises(UserError, match=r"pip install 'ofa-avse\[ray\]'"):
        Executor(LedgeredEvaluator(Landscape(), ledger), 2, "auto")
