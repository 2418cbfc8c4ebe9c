"""Processes that share every batch train the same network as one process that has it all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from controller.cli import main
from supernet import load
from supernet.checkpoint import read_tensors
from supernet.data.mixing.batches import TrainingMixtures
from supernet.data.settings import DataSettings
from supernet.errors import UserError
from supernet.training import CHECKPOINT, WEIGHTS
from tests.supernet.distributed_run import Stopped, fresh, trained

NAMES = ("mixture", "clean", "lips", "lips_present")


def mixtures(corpus) -> TrainingMixtures:
    return TrainingMixtures(corpus, DataSettings(), batch_size=12, clip_seconds=0.4, lip_dropout=0.3, seed=3)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_shares_of_a_batch_are_disjoint_and_together_the_batch(small_corpus, world):
    whole = mixtures(small_corpus)
    parts = [whole.share(rank, world).batch(5) for rank in range(world)]
    assert all(len(part.mixture) == 12 // world for part in parts)
    for name in NAMES:
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole.batch(5), name))
    assert {whole.share(rank, world).identity["batch_size"] for rank in range(world)} == {12}


def test_a_batch_that_cannot_be_shared_is_named(small_corpus):
    with pytest.raises(UserError, match="batch_size: 12 is no multiple of the 5 processes"):
        mixtures(small_corpus).share(0, 5)


def apart(folder: Path, other: Path) -> float:
    """How far two trainings ended from each other, as a share of the way they went.

    Over all weights, since Adam makes a full step of a gradient that is nothing but rounding.
    """
    one, two = (parameters_to_vector(load(path / WEIGHTS).parameters()) for path in (folder, other))
    return ((one - two).norm() / (one - parameters_to_vector(fresh().parameters())).norm()).item()


def test_two_processes_train_what_one_does_also_from_its_checkpoint(small_corpus, tmp_path):
    alone, resumed, together = (tmp_path / name for name in ("alone", "resumed", "together"))
    trained(small_corpus.folder, alone)
    with pytest.raises(KeyboardInterrupt):
        trained(small_corpus.folder, resumed, Stopped)
    assert read_tensors(resumed / CHECKPOINT, "checkpoint")[1]["step"] == 2
    program = Path(__file__).with_name("distributed_run.py")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, str(program), str(small_corpus.folder), str(together), str(resumed)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert apart(together, alone) < 1e-3
    assert apart(resumed, alone) < 1e-3
    assert not list(tmp_path.rglob(".*.partial"))


@pytest.fixture
def as_rank_1_of_2(monkeypatch):
    values = {"TORCHELASTIC_RUN_ID": "test", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_commands_that_would_do_all_twice_are_refused(as_rank_1_of_2, tmp_path, capsys):
    assert main(["score", f"--run={tmp_path}"]) == 2
    assert "torchrun: 2 processes at once are for `train`" in capsys.readouterr().err
    assert main(["train", f"--run={tmp_path}"]) == 2
    assert "run `ofa-avse data` first" in capsys.readouterr().err
