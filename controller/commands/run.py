"""The commands of `ofa-avse` that work in a run's folder: each calls its stage and prints what a person asks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch

from controller.run.config import Settings
from controller.run.confirmation import check_winner, confirm, found, told
from controller.run.report import write_report
from controller.run.run import Run, made
from controller.search.reward import Costs, RewardSettings
from eval.costs import parameters
from supernet.checkpoint import load, read_notes, save
from supernet.data.corpus import Corpus
from supernet.data.mixing.batches import LIPS
from supernet.devices import Device, described
from supernet.devices import device as chosen_device
from supernet.distributed import process_rank
from supernet.errors import UserError
from supernet.extraction import extract as cut_out
from supernet.space import PAPER_WINNER, SearchSpace, Subnet

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def train(settings: Settings) -> None:
    """Train the supernet."""
    with Run(settings).working(ranks=True) as run:
        run.track("supernet")
        run.train()
    if process_rank() == 0:
        print(f"{run.paths.supernet}: the supernet of all 324 subnets")


def score(settings: Settings) -> None:
    """Score all subnets."""
    with Run(settings).working() as run:
        table = run.score()
    print(f"{table.path}: {len(table)} subnets ({table.header.fidelity}, {table.header.clips} clips)")
    print(table.best().text())


def search(settings: Settings) -> None:
    """Search for a subnet."""
    with Run(settings).working() as run:
        run.track("search")
        result = run.search()
    winner = result.winner
    print(
        f"{winner.subnet}  SI-SNRi {winner.si_snri:.2f} dB +- {winner.standard_error:.2f} "
        f"({winner.fidelity}, {winner.clips} clips), reward {result.winner_reward:.3f}, "
        f"after {len(result.evaluations)} distinct evaluations in {len(result.rows) - 1} steps"
        + (" (search.max_evaluations spent)" if result.budget_spent else "")
    )
    if missed := beyond_target(winner.subnet, result.reward, run.costs, result.settings.may_win):
        print(missed)


def beyond_target(
    subnet: Subnet, reward: RewardSettings, costs: Costs, may_win: Callable[[Subnet], bool]
) -> str | None:
    """What to say of a subnet that exceeds the target, which the reward weighs and does not enforce; None where it
    keeps to it or, under the latency reward, there is none."""
    target = reward.target if reward.kind == "paper" else None
    if target is None or costs.of(subnet, reward.cost) <= target:
        return None
    least = min(costs.of(other, reward.cost) for other in filter(may_win, SearchSpace()))
    fits = least <= target
    return f"beyond search.reward.target: {reward.cost} {costs.of(subnet, reward.cost):,.6g} of {target:,.6g}; " + (
        "raise search.reward.beta, or look longer" if fits else f"no subnet fits, the least is {least:,.6g}"
    )


def extract(
    settings: Settings,
    output: str,
    subnet: str | None = None,
    model: str | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
) -> None:
    """Cut a subnet out of a supernet, and write it as a network of its own.

    Args:
        output: file to write.
        subnet: its name, or `largest`, `smallest`, `paper` (the paper's winner) or `winner` (the run's, the default).
        model: network to cut from; the run's supernet when not given.
        precision: of the weights in the file; bf16 halves it, for a whole `model` too, named as its own subnet.
    """
    run = Run(settings)
    chosen = named(subnet or "winner", run)
    path = Path(model) if model else made(run.paths.supernet, "train")
    network, notes = load(path), read_notes(path)
    origin = f"inherited from {network.subnet}" if chosen != network.subnet else "as they were"
    if chosen != network.subnet:  # a part of it was not trained as the notes say, and is no run's finished network
        notes = {"weights": origin, "lip_region": notes.get("lip_region", "detect"), "from": notes}
    save(cut_out(network, chosen), output, DTYPES[precision], **notes)
    print(f"{output}: {chosen}, {parameters(chosen, network.width):,} parameters, weights {origin}")


def retrain(settings: Settings, subnet: str | None = None) -> None:
    """Train a subnet from scratch.

    Args:
        subnet: its name, or `largest`, `smallest`, `paper` or `winner`; when not given, the best `search.confirm` of
            the run's search, of which the best becomes the run's winner.
    """
    with Run(settings).working() as run:
        chosen = named(subnet or "winner", run)
        run.track(f"retrain {chosen}")
        if subnet:
            run.retrain(chosen)
            path = run.paths.of(chosen)
        else:
            chosen = confirm(run)
            path = run.keep_winner(chosen)
    print(f"{path}: {chosen}, {told(run, chosen)}")


def evaluate(
    settings: Settings,
    model: str | None = None,
    corpus: str | None = None,
    list: str = "test",
    perceptual: bool = True,
    lips: Sequence[str | bool] = ("true", "none", "other"),
    device: Device = "auto",
) -> None:
    """Test a model.

    Args:
        corpus: folder of any prepared corpus; the run's when not given.
        model: weights to test; the run's retrained winner when not given.
        list: which list of the corpus: `test`, `val` or, for real recordings, `test_other`.
        perceptual: PESQ, STOI and ESTOI too.
        lips: what the model sees, each a line of the tables: `true`, `none`, `other` (another clip's), or what bad
            video shows: `black`, `frozen`, `occluded`, `low_resolution`, `delayed`, `dropped`.
        device: `cpu`, `cuda`, or `auto`, the GPU where there is one.
    """
    on = chosen_device(device)
    seen = ["true" if name is True else str(name) for name in lips]  # YAML reads true as a truth value
    if not seen or set(seen) - set(LIPS) or len(set(seen)) < len(seen):
        raise UserError(f"lips: must be some of {', '.join(LIPS)}, each once; not {', '.join(seen) or 'empty'}")
    with Run(settings).working() as run:
        other = Corpus.open(corpus) if corpus else None
        if not model and run.paths.outcome.is_file():
            check_winner(run, found(run))
        print(f"evaluate on {described(on)}", file=sys.stderr)
        print(run.evaluate(list, Path(model) if model else None, other, perceptual, seen, on).text())
        print()
        print(run.evaluate_wiener(list, other, perceptual).text())


def report(settings: Settings) -> None:
    """Write the page of the run."""
    with Run(settings).working() as run:
        print(write_report(run))


def named(text: str, run: Run) -> Subnet:
    """A subnet by its name, or `largest`, `smallest`, `paper` (the paper's winner), or `winner`, the run's."""
    known = {"largest": SearchSpace.largest, "smallest": SearchSpace.smallest, "paper": PAPER_WINNER}
    return found(run) if text == "winner" else known.get(text) or Subnet.parse(text)
