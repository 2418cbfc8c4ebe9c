"""Evaluations in worker processes: what a death, an exception and NaN cost, and what is left when the parent goes."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path

import landscape
import pytest
import torch
from landscape import Landscape

from controller.ladder.evaluation import Evaluation, LedgeredEvaluator
from controller.ladder.executor import Executor
from controller.ladder.ledger import Ledger
from controller.ladder.workers import Processes
from supernet.errors import UserError
from supernet.processes import WorkerDied
from supernet.space import SearchSpace, Subnet

SUBNETS = list(SearchSpace())
MORTAL, DOOMED, BROKEN, DIVERGED, *CALM = SUBNETS[:10]


class Eventful(Landscape):
    """Kills its process on MORTAL once and on DOOMED always, raises on BROKEN, finds NaN on DIVERGED."""

    def evaluate(self, subnet: Subnet) -> Evaluation:
        again = self.log.is_file() and str(subnet) in self.log.read_text()
        evaluation = super().evaluate(subnet)
        if subnet == DOOMED or (subnet == MORTAL and not again):
            os.kill(os.getpid(), signal.SIGKILL)
        if subnet == BROKEN:
            raise UserError("clip.wav: cannot be read")
        return replace(evaluation, si_snri=math.nan) if subnet == DIVERGED else evaluation


class Threads(Landscape):
    def evaluate(self, subnet: Subnet) -> Evaluation:
        return replace(super().evaluate(subnet), clips=torch.get_num_threads())


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("workers") / "asked.log"


@pytest.fixture(scope="module")
def processes(log):
    """Two processes for most tests of this file, since each takes seconds to start."""
    processes = Processes(Eventful(log=log), 2)
    yield processes
    processes.close()


@pytest.fixture
def evaluate(processes, log, tmp_path, monkeypatch):
    """Evaluates through a new ledger; returns what came out, the error if any, and what the ledger keeps."""
    monkeypatch.setattr(processes, "close", lambda: None)
    monkeypatch.setattr("controller.ladder.executor.Processes", lambda evaluator, count: processes)
    log.unlink(missing_ok=True)

    def run(subnets):
        found, error = {}, None
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            try:
                with Executor(LedgeredEvaluator(Eventful(log=log), ledger), 2) as executor:
                    for evaluation in executor.evaluate(subnets):
                        found[evaluation.subnet] = evaluation
            except Exception as caught:
                error = caught
            return found, error, {record["subnet"]: record for _, record in ledger.rows()}

    return run


def asked(log: Path) -> list[str]:
    return [line.split()[1] for line in log.read_text().splitlines()]


def test_a_worker_that_dies_costs_its_own_evaluation_which_is_tried_again(evaluate, log):
    found, error, kept = evaluate([MORTAL, *CALM])
    assert error is None
    assert set(found) == {MORTAL, *CALM}
    assert set(kept) == {str(subnet) for subnet in found}
    assert sorted(asked(log)) == sorted([str(MORTAL), *kept])


def test_a_second_death_is_one_error_that_names_the_subnet_and_the_ledger_has_the_others(evaluate, log):
    _, error, kept = evaluate([DOOMED, *CALM])
    assert isinstance(error, UserError)
    assert str(DOOMED) in str(error) and "\n" not in str(error)
    assert set(kept) == {str(subnet) for subnet in CALM}
    assert asked(log).count(str(DOOMED)) == 2


def test_an_exception_is_passed_on_as_it_is_and_the_evaluation_beside_it_kept(evaluate, log):
    _, error, kept = evaluate([BROKEN, CALM[0]])
    assert type(error) is UserError and str(error) == "clip.wav: cannot be read"
    assert asked(log).count(str(BROKEN)) == 1
    assert set(kept) == {str(CALM[0])}


class Immediate:
    """Workers that answer at once, one subnet with what `answers` lists for it, in turn."""

    count = 2
    result = staticmethod(Future.result)
    close = staticmethod(lambda: None)

    def __init__(self, answers: dict[Subnet, list[Exception]]) -> None:
        self.answers, self.begun = answers, []

    def submit(self, subnet: Subnet) -> Future:
        self.begun.append(subnet)
        future = Future()
        if self.answers.get(subnet):
            future.set_exception(self.answers[subnet].pop(0))
        else:
            future.set_result(Landscape().evaluate(subnet))
        return future


@pytest.fixture
def answer(tmp_path, monkeypatch):
    """Evaluates through workers that answer at once; returns what came out, and what they were asked."""

    def run(subnets, answers):
        workers = Immediate(answers)
        monkeypatch.setattr("controller.ladder.executor.Processes", lambda *_: workers)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            with Executor(LedgeredEvaluator(Landscape(), ledger), 2) as executor:
                try:
                    return [evaluation.subnet for evaluation in executor.evaluate(subnets)], workers.begun
                except UserError as error:
                    return error, workers.begun

    return run


def test_after_an_exception_no_further_evaluation_is_begun(answer):
    error, begun = answer([BROKEN, *CALM], {BROKEN: [UserError("clip.wav: cannot be read")]})
    assert "clip.wav" in str(error)
    assert begun == [BROKEN, CALM[0]]


def test_an_evaluation_is_tried_again_after_the_others(answer):
    found, begun = answer([MORTAL, *CALM], {MORTAL: [WorkerDied("exit code -9")]})
    assert set(found) == {MORTAL, *CALM}
    assert begun == [MORTAL, *CALM, MORTAL]


def test_workers_that_always_die_end_in_one_error_that_names_the_subnet(answer):
    error, begun = answer([MORTAL, *CALM], {MORTAL: [WorkerDied("exit code -9") for _ in range(9)]})
    assert isinstance(error, UserError) and str(MORTAL) in str(error) and "exit code -9" in str(error)
    assert begun.count(MORTAL) == 2
    assert set(begun) == {MORTAL, *CALM}


def test_nan_is_kept_as_null_and_not_evaluated_again(evaluate, log):
    found, error, kept = evaluate([DIVERGED])
    again, _, _ = evaluate([DIVERGED])
    assert error is None
    assert kept[str(DIVERGED)]["si_snri"] is None
    assert math.isnan(found[DIVERGED].si_snri) and math.isnan(again[DIVERGED].si_snri)
    assert asked(log) == [str(DIVERGED)]


def test_idle_workers_that_were_killed_cost_nothing(evaluate, log):
    evaluate(CALM[:2])
    for line in log.read_text().splitlines():
        os.kill(int(line.split()[0]), signal.SIGKILL)
    found, error, _ = evaluate(CALM)
    assert error is None
    assert set(found) == set(CALM)


def test_two_workers_find_what_one_finds(evaluate, tmp_path):
    found, _, _ = evaluate(CALM)
    with Ledger(tmp_path / "one.sqlite") as ledger, Executor(LedgeredEvaluator(Landscape(), ledger)) as executor:
        assert {evaluation.subnet: evaluation for evaluation in executor.evaluate(CALM)} == found


def test_the_threads_are_divided_among_the_workers(tmp_path):
    torch.set_num_threads(4)  # one again after the test
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        with Executor(LedgeredEvaluator(Threads(), ledger), 2) as executor:
            assert [evaluation.clips for evaluation in executor.evaluate(CALM[:1])] == [2]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path, end):
    """SIGINT goes to the parent alone here, as to a notebook; Ctrl-C in a shell sends it to the workers too."""
    command = [sys.executable, landscape.__file__, str(tmp_path), "2", "30"]
    log = tmp_path / "asked.log"
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs are told to ignore it
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment, preexec_fn=heard) as parent:
        until(lambda: parent.poll() is not None or (log.is_file() and len(log.read_text().splitlines()) == 1))
        assert parent.poll() is None
        worker = int(log.read_text().split()[0])
        assert worker != parent.pid and running(worker)
        parent.send_signal(end)
    until(lambda: not running(worker))


def until(happened: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def running(pid: int) -> bool:
    """Whether there is such a process, other than one that nobody has collected."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state) and not state.startswith("Z")
