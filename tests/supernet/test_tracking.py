"""Runs of wandb, offline."""

import json

import pytest

from supernet.errors import UserError
from supernet.storage.records import sealed
from supernet.tracking import RUNS, Silent, TrackingSettings, start_tracking


def start(folder, name="supernet", mode="offline"):
    return start_tracking(TrackingSettings(mode), folder, name, {"steps": 3})


def test_what_is_resumed_goes_on_in_its_own_run(tmp_path):
    first = start(tmp_path)
    first.log({"supernet/loss": 1.0, "step": 1})
    first.finish()
    again = start(tmp_path)
    again.finish()
    other = start(tmp_path, "retrain")
    other.finish()
    assert again.id == first.id != other.id
    assert json.loads((tmp_path / RUNS).read_text()) == sealed({"supernet": first.id, "retrain": other.id})


def test_a_damaged_file_of_ids_is_named(tmp_path):
    (tmp_path / RUNS).write_text("{")
    with pytest.raises(UserError, match=f"{RUNS}: damaged"):
        start(tmp_path)


def test_disabled_tracking_writes_nothing(tmp_path):
    assert isinstance(start(tmp_path / "run", mode="disabled"), Silent)
    assert not (tmp_path / "run").exists()
