"""What the controller's tests share."""

import sys
from pathlib import Path

import pytest
import torch

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
