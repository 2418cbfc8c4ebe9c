"""Any network trains by our loop: here one that knows neither lips nor subnets, and draws random numbers."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from supernet import load, save
from supernet.checkpoint import read_tensors
from supernet.errors import UserError
from supernet.recipe import NetworkObjective
from supernet.training import CHECKPOINT, WEIGHTS, train
from tests.supernet.foreign import SETTINGS, Tones, fresh

PROGRAM = Path(__file__).with_name("foreign.py")
ALONE = [sys.executable]
TWO_RANKS = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def run(launcher: list[str], *arguments: object) -> int:
    return subprocess.run([*launcher, str(PROGRAM), *map(str, arguments)], capture_output=True, timeout=300).returncode


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("launcher", [ALONE, TWO_RANKS], ids=["alone", "two ranks"])
def test_after_sigkill_it_ends_with_the_same_bits(launcher, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert run(launcher, undisturbed, killed, 5) != 0
    assert read_tensors(killed / CHECKPOINT, "checkpoint")[1]["step"] == 4
    assert not (killed / WEIGHTS).exists()
    assert run(launcher, killed) == 0
    expected, found = (read_tensors(folder / WEIGHTS, "network")[0] for folder in (undisturbed, killed))
    assert same(found, expected)
    assert found.keys() == fresh().state_dict().keys()
    assert found["norm.num_batches_tracked"] == SETTINGS.steps


def test_dropout_is_another_in_each_step_and_follows_from_the_seed_alone():
    ends = []
    for state in (7, 8):
        network, dropped = fresh(), []
        network.dropout.register_forward_hook(lambda module, inputs, output: dropped.append((output == 0).sum().item()))
        torch.manual_seed(state)
        train(network, Tones(), NetworkObjective(), SETTINGS)
        assert len(set(dropped)) > 1
        ends.append(network)
    assert same(*(network.state_dict() for network in ends))


def test_a_finished_training_is_read_back_and_not_done_again(tmp_path):
    first, again = fresh(), fresh()
    train(first, Tones(), NetworkObjective(), SETTINGS, tmp_path)
    train(again, Tones(killed_at=0), NetworkObjective(), SETTINGS, tmp_path)
    assert same(first.state_dict(), again.state_dict())


def test_weights_of_another_class_are_refused_by_name_where_ours_are_expected(tmp_path):
    train(fresh(), Tones(), NetworkObjective(), SETTINGS, tmp_path)
    with pytest.raises(UserError, match=f"{WEIGHTS}: holds a network of class SpectralGRU"):
        load(tmp_path / WEIGHTS)


def test_tied_weights_are_written(tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    network[1].weight = network[0].weight
    save(network, tmp_path / "tied.safetensors")
    assert torch.equal(read_tensors(tmp_path / "tied.safetensors", "network")[0]["1.weight"], network[0].weight)
