"""What the controller's tests share."""

import sys
from pathlib import Path

import pytest
import torch

from controller.cli import main
from supernet.space import SearchSpace

# Worker processes import `landscape`, and the tests whose evaluators they are given, by name.
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "ladder"), str(HERE.parents[1])]


@pytest.fixture(scope="session")
def space() -> SearchSpace:
    return SearchSpace()


@pytest.fixture(autouse=True)
def one_thread():
    """A single episode is too little work for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


CONFIG = """
data:
  list_seconds: 0.4
  val_items: 5
  test_items: 10
  synthetic: {train_clips: 16, val_clips: 5, test_clips: 6, train_voices: 4, val_voices: 3, test_voices: 3,
              clip_seconds: 1.0, workers: 1}
network: {width: 0.03125}
supernet: {steps: 6, largest_alone: 2, batches_per_epoch: 2, batch_size: 2, clip_seconds: 0.4, checkpoint_every: 2}
finetune: {steps: 10, batches_per_epoch: 1, batch_size: 2, clip_seconds: 0.4}
retrain: {steps: 6, batches_per_epoch: 2, batch_size: 2, clip_seconds: 0.4, checkpoint_every: 2}
search: {episodes: 3, confirm: 2, reward: {baseline: 10.0}}
scoring: {seconds: 0.04, repeats: 1, perceptual: none}
tracking: {mode: disabled}
threads: 1
"""


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a whole job that takes seconds."""
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def run(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which that job was done."""
    folder = tmp_path_factory.mktemp("run")
    assert main(["quickstart", "--config", str(config), "--run", str(folder)]) == 0
    return folder
