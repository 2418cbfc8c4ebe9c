"""How far bf16 moves the scores of all 324 subnets, and how much sooner they are there: a run's supernet on its
validation list, in fp32 and in bf16, on the GPU where there is one.

    .venv/bin/python benchmarks/scoring_precision.py --run runs/quick
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from eval.ranking.tau import tau
from eval.table.scoring import Prepared, score_all
from supernet import SearchSpace, load
from supernet.data.corpus import Corpus
from supernet.data.mixing.batches import FixedMixtures
from supernet.devices import device
from supernet.training import WEIGHTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/quick"))
    run = parser.parse_args().run
    supernet = load(run / "supernet" / WEIGHTS).to(device())
    prepared = Prepared(FixedMixtures(Corpus.open(run / "corpus"), "val"), device())
    by_clip, seconds = {}, {}
    for name, bf16 in ("fp32", False), ("bf16", True):
        start = time.perf_counter()
        scores = score_all(supernet, prepared, SearchSpace(supernet.width), bf16=bf16)
        by_clip[name] = {subnet: score.si_snri for subnet, score in scores}
        seconds[name] = time.perf_counter() - start
    exact, rounded = (np.stack(list(scores.values())) for scores in by_clip.values())  # (subnets, clips)
    moved = rounded.mean(axis=1) - exact.mean(axis=1)
    means = [{subnet: clips.mean() for subnet, clips in scores.items()} for scores in by_clip.values()]
    print(f"{len(moved)} subnets of width {supernet.width:g}, {exact.shape[1]} clips, {device()}")
    print(f"bf16 - fp32: {moved.mean():+.4f} dB in the mean, at most {abs(moved).max():.4f} for a subnet")
    print(f"a clip at most {abs(rounded - exact).max():.3f} dB; tau of the rankings {tau(*means, list(means[0])):.4f}")
    print("seconds: " + ", ".join(f"{name} {spent:.1f}" for name, spent in seconds.items()))


if __name__ == "__main__":
    main()
