"""Training under `torchrun`, in the form that the documents print."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from torch.nn.utils import parameters_to_vector

from supernet import load

DOCUMENT = Path(__file__).parents[3] / "docs" / "cluster.md"


def test_two_ranks_train_the_supernet_of_one(run, config, tmp_path):
    shutil.copytree(run / "corpus", tmp_path / "corpus")
    (printed,) = re.findall("^torchrun (.*)$", DOCUMENT.read_text(), re.MULTILINE)
    options = printed.replace("--config quick", f"--config {config}").replace("runs/quick", str(tmp_path)).split()
    command = [sys.executable, "-m", "torch.distributed.run", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the supernet of all 324 subnets") == 1
    one, two = (
        parameters_to_vector(load(folder / "supernet" / "weights.safetensors").parameters())
        for folder in (run, tmp_path)
    )
    assert 0 < (one - two).norm() < 1e-3 * one.norm()
