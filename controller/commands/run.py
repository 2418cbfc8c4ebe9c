"""The commands of `ofa-avse` that work in a run's folder: each calls its stage and prints what a person asks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

import torch

from controller.run.config import Settings
from controller.run.confirmation import check_winner, confirm, found, told
from controller.run.report import write_report
from controller.run.run import Run, made
from controller.search.reward import Costs, RewardSettings
from eval.costs import macs, parameters
from eval.measure import measure
from supernet.checkpoint import load, read_notes, save
from supernet.data.corpus import Corpus
from supernet.data.lips.find import Rule
from supernet.data.mixing.batches import LIPS
from supernet.deploy.enhance import Channels, Rate, Wanted
from supernet.deploy.sources import enhance as enhance_sources
from supernet.devices import Device, described
from supernet.devices import device as chosen_device
from supernet.distributed import process_rank
from supernet.errors import UserError
from supernet.extraction import extract as cut_out
from supernet.models import SMALL
from supernet.space import PAPER_WINNER, SearchSpace, Subnet, channels

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


def profile(
    settings: Settings,
    model: str | None = None,
    subnet: str | None = None,
    seconds: float = 3.0,
    device: Device = "auto",
) -> None:
    """Measure a network here.

    Args:
        model: weights to measure.
        subnet: or the name of a subnet, as for `extract`, measured with fresh weights at network.width; the paper's
            winner when neither is given.
        seconds: length of the clip.
        device: `cpu`, `cuda`, or `auto`, the GPU where there is one.
    """
    if seconds <= 0:
        raise UserError(f"seconds: must be above 0, but is {seconds:g}")
    on = chosen_device(device)
    network = load(model) if model else settings.network.fresh(named(subnet or "paper", Run(settings)), settings.seed)
    measured = measure(network.to(on), seconds, settings.scoring.threads)
    print(f"{network.subnet} at width {network.width:g}: {channels(network.subnet, network.width)}")
    print(f"parameters {parameters(network.subnet, network.width):,}")
    print(f"MACs       {macs(network.subnet, network.width) / 1e6:,.1f} M per second of audio, lips included")
    print(f"latency    {measured.latency_ms:.1f} ms for {measured.seconds:g} s, RTF {measured.rtf:.4f}")
    print(f"memory     {measured.memory_mb:.1f} MB, weights and activations")
    print(f"measured on {measured.machine}")


def enhance(
    sources: Sequence[str],
    model: str | None = None,
    output: str | None = None,
    lips: str | None = None,
    no_lips: bool = False,
    face: str | None = None,
    audio_track: int | None = None,
    rate: Rate = "16k",
    channels: Channels = "mono",
    video: bool = False,
    strength: float = 1.0,
    recursive: bool = False,
    lip_region: Rule | None = None,
    landmark_model: str | None = None,
    device: Device = "auto",
) -> None:
    """Write the enhanced sound of each source beside it, as <name>.enhanced.wav.

    Args:
        sources: sound files, videos, and folders of them; `-` is standard input.
        model: weights, as `retrain` or `extract` wrote them; those of the package when not given.
        output: file to write; for a folder or several sources, a folder.
        lips: video of the talker, for a source without one of its own; a still picture has no lips that move.
        no_lips: enhance from sound alone.
        face: of several faces the one that talks: `left`, `right`, a number from the left, a point `x,y` in pixels, or
            `all`, a result for each; the one whose mouth moves with the sound when not given.
        audio_track: of several sound tracks, from 1; the one with a voice when not given.
        rate: of the result: `16k`, or the `source`'s.
        channels: of the result: `mono`, or `keep` for two where the source has more than one.
        video: write a video, its pictures as they are.
        strength: from 0, the noisy sound, to 1, all that the network does.
        recursive: take the folders within folders too.
        lip_region: how the mouth is found, as in `data.lip_region`; as it was for the model's training when not given.
        landmark_model: file of MediaPipe's face landmarker; for `landmarks`.
        device: `cpu`, `cuda`, or `auto`, the GPU where there is one.
    """
    on = chosen_device(device)
    path = Path(model) if model else SMALL
    rule = lip_region or read_notes(path).get("lip_region", "detect")
    if rule not in get_args(Rule):
        raise UserError(f"{path}: its lip_region is {rule!r}, none of {', '.join(get_args(Rule))}; give --lip_region")
    wanted = Wanted(
        lips=Path(lips) if lips else None,
        no_lips=no_lips,
        face=face,
        audio_track=audio_track,
        rate=rate,
        channels=channels,
        video=video,
        strength=strength,
        lip_region=rule,
        landmark_model=landmark_model,
    )
    for written in enhance_sources(load(path).to(on), sources, output, wanted, recursive):
        print(written)


def report(settings: Settings) -> None:
    """Write the page of the run."""
    with Run(settings).working() as run:
        print(write_report(run))


def named(text: str, run: Run) -> Subnet:
    """A subnet by its name, or `largest`, `smallest`, `paper` (the paper's winner), or `winner`, the run's."""
    known = {"largest": SearchSpace.largest, "smallest": SearchSpace.smallest, "paper": PAPER_WINNER}
    return found(run) if text == "winner" else known.get(text) or Subnet.parse(text)
