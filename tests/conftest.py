"""Fixtures that more than one floor needs."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from eval.costs import macs, parameters
from eval.ranking.bands import truth_bands
from eval.table.quality_table import QualityHeader, QualityRow, QualityTable
from supernet.data.build import build
from supernet.data.corpus import Corpus
from supernet.data.settings import DataSettings
from supernet.data.synthetic.talkers import SyntheticSettings
from supernet.space import PAPER_WINNER, SearchSpace, Subnet

SMALL = SyntheticSettings(
    train_clips=20,
    val_clips=10,
    test_clips=10,
    train_voices=4,
    val_voices=3,
    test_voices=3,
    clip_seconds=1.0,
    workers=1,
)


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A synthetic corpus of second-long clips with lists of ten, made as a user's is."""
    folder: Path = tmp_path_factory.mktemp("small_corpus")
    settings = DataSettings(synthetic=SMALL, list_seconds=0.4, val_items=10, test_items=10)
    return build(settings, folder)


@pytest.fixture(scope="session")
def truth_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a run of `truth` leaves it, of made-up qualities that grow with MACs, V and shallowness."""
    rng = np.random.default_rng(0)
    space = SearchSpace(1 / 8)
    folder = tmp_path_factory.mktemp("truth_tables")
    truth = sum(truth_bands(space), [])
    closely = [PAPER_WINNER, space.smallest, space.largest, *truth[:16:3][:5]]
    noise = dict(zip(space, rng.normal(0, 0.1, len(space)), strict=True))  # of a shape, whatever trains it

    def quality(subnet: Subnet) -> float:
        shape = 0.2 * (subnet.visual == 256) - 0.02 * subnet.depth - 0.2 * (subnet.expansion == 2.5)
        return 3 + 1.5 * math.log(macs(subnet, space.width) / 1e7) + shape + noise[subnet]

    def write(name: str, subnets: list[Subnet], fidelity: str, offset: float, deviation: float, **header) -> None:
        rows = []
        for subnet in subnets:
            si_snri = quality(subnet) + offset + rng.normal(0, deviation)
            curve = tuple(si_snri - 0.5 / epoch for epoch in range(1, 11)) if fidelity == "finetuned" else ()
            size = parameters(subnet, space.width), macs(subnet, space.width)
            rows.append(QualityRow(subnet, *size, si_snri, 0.1, curve=curve, by_condition={"babble": si_snri}))
        clips = {"val": 130, "test": 160}[header["list"]]
        kind = QualityHeader(fidelity, clips, space.width, False, "global", data_hash=header["list"], **header)
        QualityTable(kind, rows).save(folder / f"{name}.csv")

    scratch, tuning = {"steps": 600, "batches_per_epoch": 100}, {"steps": 100, "batches_per_epoch": 10}
    for seed in range(2):
        trained = {"seed": seed, "training": {**scratch, "seed": seed}}
        write(f"standalone_seed{seed}", truth, "retrained", 0, 0.05, list="test", **trained)
    write("standalone_longer_seed0", closely, "retrained", 0.4, 0.05, list="test", training={"steps": 2400})
    write("finetuned_seed0", list(space), "finetuned", -0.2, 0.05, list="val", training={**tuning, "seed": 0})
    write("finetuned_seed1", truth, "finetuned", -0.2, 0.05, list="val", seed=1, training={**tuning, "seed": 1})
    write("finetuned_test", closely, "finetuned", -0.1, 0.05, list="test", training=tuning)
    for name in ("val", "test"):
        write(f"shared_{name}", list(space), "shared", -0.3, 0.1, list=name, training={"steps": 2400})
    return folder


@pytest.fixture(scope="session")
def clip() -> tuple[torch.Tensor, torch.Tensor]:
    """A clip for small networks: mixture (2, 1920) and lips (2, 3, 88, 88)."""
    generator = torch.Generator().manual_seed(1)
    mixture = 0.1 * torch.randn(2, 3 * 640, generator=generator)
    return mixture, torch.randint(0, 256, (2, 3, 88, 88), dtype=torch.uint8, generator=generator)
