"""How fast training batches are mixed, with lips, from a cached corpus: clips a second.

    .venv/bin/python benchmarks/loading.py                      # a synthetic corpus, made for it
    .venv/bin/python benchmarks/loading.py --corpus runs/grid/corpus --kind grid --shards

- one core: in this process, between the steps
- loaders: the same batches mixed ahead by worker processes (`data.loaders`), as training takes them
- packed: the same from tar shards
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does

import torch

from supernet.data.build import build
from supernet.data.corpus import Corpus
from supernet.data.mixing.batches import TrainingMixtures
from supernet.data.settings import DataSettings
from supernet.data.shards import pack
from supernet.data.synthetic.talkers import SyntheticSettings
from supernet.training import batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, help="a prepared corpus; a synthetic one of 80 clips when not given")
    parser.add_argument("--kind", default="synthetic", help="its data.corpus")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a clip")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--loaders", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--reverberation", action="store_true")
    parser.add_argument("--shards", action="store_true", help="from a packed copy of the corpus too")
    parser.add_argument("--profile", action="store_true", help="where the time of one core goes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus.open(options.corpus) if options.corpus else synthetic(Path(folder) / "corpus")
        time_corpus("files", corpus, options)
        if options.shards:
            time_corpus("shards", pack(corpus, Path(folder) / "packed", 100), options)


def synthetic(folder: Path) -> Corpus:
    voices = SyntheticSettings(train_clips=60, val_clips=10, test_clips=10, clip_seconds=3.0, workers=os.cpu_count())
    return build(DataSettings(synthetic=voices, val_items=5, test_items=5), folder)


def time_corpus(name: str, corpus: Corpus, options: argparse.Namespace) -> None:
    mixed = mixtures(corpus, options, loaders=0)
    for step in range(options.steps):  # what is cached is cached now
        mixed.batch(step)
    if options.profile:
        with cProfile.Profile(time.process_time) as profile:  # whatever else is running
            for step in range(options.steps):
                mixed.batch(step)
        pstats.Stats(profile).sort_stats("tottime").print_stats(20)
    report(f"{name}, one core", options.steps, options, lambda: [mixed.batch(step) for step in range(options.steps)])
    for loaders in options.loaders:
        taken = batches(mixtures(corpus, options, loaders), 0, 10**6, "cpu")
        list(islice(taken, 4 * loaders + options.steps))  # until the processes have started, and their caches are warm
        steps = 4 * options.steps
        report(f"{name}, loaders {loaders}", steps, options, partial(list, islice(taken, steps)))


def mixtures(corpus: Corpus, options: argparse.Namespace, loaders: int) -> TrainingMixtures:
    settings = DataSettings(corpus=options.kind, loaders=loaders, reverberation=options.reverberation)
    return TrainingMixtures(corpus, settings, options.batch_size, options.seconds, lip_dropout=0.25, seed=0)


def report(name: str, steps: int, options: argparse.Namespace, run: Callable[[], object]) -> None:
    """On the clock, and by the time that this process had a core: the latter does not mind what else is running."""
    clock, core = time.perf_counter(), time.process_time()
    run()
    clock, core = time.perf_counter() - clock, time.process_time() - core
    clips = steps * options.batch_size
    own = f", {clips / core:.0f} a second of this process's core"
    print(f"{name:<20} {clips / clock:6.0f} clips of {options.seconds:g} s a second{own}", flush=True)


if __name__ == "__main__":
    main()
