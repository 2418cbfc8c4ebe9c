"""Where a network runs is chosen by name, and said."""

import pytest
import torch

from supernet.devices import described, device
from supernet.errors import UserError


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="device: .* no cuda GPU here; choose cpu or auto"):
        device("cuda")


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_without_a_gpu_all_else_is_the_cpu(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device(name).type == "cpu" and described(device(name)) == "the CPU"


def test_a_gpu_is_called_by_its_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda on: f"GPU {on.index}")
    assert described(torch.device("cuda", 1)) == "GPU 1"
