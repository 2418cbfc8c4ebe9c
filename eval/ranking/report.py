"""The ranking report as Markdown that reads well in a terminal too. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from eval.ranking.bands import TOLERANCE, equal_macs
from eval.ranking.effects import (
    STEPS,
    Mean,
    additive_share,
    at_equal_macs,
    axis_shares,
    fitted_effects,
    interactions,
    main_effects,
)
from eval.ranking.study import FINETUNED, LONGER, MACS, NAMES, SHARED, Study
from eval.ranking.tau import CONFIDENCE, DRAWS, LEAST, Values, receptive_field, tau_of_the_expected
from eval.report import markdown
from eval.table.query import COSTS
from eval.table.shipped import MAKE
from supernet.space import AXES, SearchSpace, Subnet, channels

LARGEST_INTERACTIONS = 5
UNKNOWN = "n/a"  # with one seed
SHAPES: dict[str, Callable[[Subnet], float]] = {
    "depth, repeats x blocks": lambda subnet: subnet.depth,
    "repeats": lambda subnet: subnet.repeats,
    "blocks": lambda subnet: subnet.blocks,
    "receptive field": receptive_field,
    "encoder channels": lambda subnet: subnet.encoder,
    "bottleneck channels": lambda subnet: subnet.bottleneck,
    "hidden channels, ratio x bottleneck": lambda subnet: channels(subnet).hidden,
    "expansion ratio": lambda subnet: subnet.expansion,
    "visual channels": lambda subnet: subnet.visual,
}


def ranking_report(study: Study) -> str:
    """The whole report; what lacks its tables is left out with a line that says so."""
    sections = (_rests_on, _ranking, _regret, _extrapolations, _inherited, _effects, _claims)
    return "\n\n".join(["# How well scores rank subnets", *(block for section in sections for block in section(study))])


def _rests_on(study: Study) -> list[str]:
    rows = []
    for name, table in study.tables.items():
        head, subnets = table.header, f"{len(table)} of {len(SearchSpace())}"
        rows.append([name, head.fidelity, head.list, head.clips, head.training.get("steps", "-"), head.seed, subnets])
    blocks = [
        f"## Tables, width {study.width:g}",
        markdown.table(["table", "fidelity", "list", "clips", "steps", "seed", "subnets"], rows),
    ]
    if len(study.seeds) > 1:
        blocks.append(f"The truth is the mean of {len(study.seeds)} stand-alone trainings of each subnet.")
    if not study.missing(SHARED, study.truth_name):
        lists = study.tables[SHARED].header.list, next(iter(_of_truth(study))).header.list
        same = "the SAME clips, so the clips' luck is in both" if lists[0] == lists[1] else "no clip in common"
        blocks.append(f"Scores rank on list `{lists[0]}`, the truth is measured on `{lists[1]}`: {same}.")
    return blocks


def _of_truth(study: Study) -> Iterable:
    return (table for name, table in study.tables.items() if name.startswith(f"{study.truth_name}_seed"))


def _ranking(study: Study) -> list[str]:
    title = "## Kendall's tau with stand-alone training"
    if missing := study.missing(study.truth_name):
        return [title, _left_out(missing)]
    ranking, noise = study.ranking(), study.noise()
    complete, ceiling, ceiling_in_bands = study.ceiling()
    taus = [[name, ranked.subnets, ranked.overall, ranked.in_bands] for name, ranked in ranking.items()]
    taus.append(["ceiling: seed against seed", complete, ceiling, ceiling_in_bands])
    perfect = (_tau(tau_of_the_expected(signal)) for signal in (noise.signal, noise.signal_in_bands))
    taus.append(["a perfect score, estimate", len(study.truth), *perfect])
    against = [
        [name, ranked.of_ceiling, ranked.of_ceiling_one_seed, ranked.ahead, ranked.ahead_in_bands]
        for name, ranked in ranking.items()
    ]
    bands = [len(band) for band in study.bands() if len(band) >= LEAST]
    blocks = [
        title,
        markdown.table(["score", "subnets", "overall", "inside bands"], taus),
        markdown.table(
            ["score", "of the ceiling", "of the ceiling, one seed", "minus MACs, overall", "minus MACs, inside bands"],
            against,
        ),
        f"In brackets {CONFIDENCE} % intervals of {DRAWS} bootstrap draws of subnets within bands: they hold the "
        "choice of subnets, not another training of the supernet or other clips. Bands are of MACs within "
        f"{round(100 * (TOLERANCE - 1))} %; {len(bands)} of them have at least {LEAST} subnets ({sum(bands)} in all). "
        "The ceiling compares two single trainings; the mean of the seeds is less noisy than one, so a good score can "
        "exceed it: 'one seed' is the fair comparison, the mean of the score's taus with single seeds. A perfect "
        "score, the expected quality itself, would reach about the estimate against the mean of the seeds (were all of "
        "it normal).",
        f"Seed noise {_db(noise.seeds)} beyond what moves all subnets of a seed alike; spread of the truth "
        f"{_db(noise.in_bands)} inside bands, {_db(noise.overall)} overall (standard deviations; the "
        "spreads are of the mean over the seeds, with the noise that is left in it). "
        f"Signal in the variance: {_share(noise.signal_in_bands)} inside bands, {_share(noise.signal)} overall; "
        "with few seeds a rough estimate.",
    ]
    if 2 * sum(bands) < len(study.truth):
        blocks.append(
            f"Most of the {len(study.truth)} subnets are in bands of fewer than {LEAST}, where draws hardly vary: "
            "these intervals are too narrow."
        )
    return blocks + _lines(_left_out(study.missing(*NAMES)))


def _regret(study: Study) -> list[str]:
    title = "## Regret of choosing by a score"
    if missing := study.missing(study.truth_name):
        return [title, _left_out(missing)]
    rows = []
    for budget in study.regret():
        best = next(iter(budget.choices.values())).best
        cells = [f"{choice.regret:.2f} ({choice.chosen})" for choice in budget.choices.values()]
        size = f"{COSTS['params'].show(budget.parameters)}, {budget.of_winner:g} x winner"
        rows.append([size, budget.subnets, f"{best} ({study.truth[best]:.2f})", *cells])
    rows.append(["mean over all", "", "", *(f"{regret:.2f}" for regret in study.mean_regret().values())])
    choosers = list(study.choosers)
    blocks = [
        title,
        markdown.table(["parameters", "subnets", "best", *choosers], rows),
        "dB of stand-alone training between the truly best and the chosen subnet within the budget; the standard "
        f"error of such a difference by seed noise is {_db(study.difference_error())} (0 where both are one subnet). "
        f"'{MACS}' takes the most MACs that fit. The best is the best of a noisy truth, so regret is rather too high.",
    ]
    partial = [name for name in study.cheap if name not in choosers]
    return blocks + _lines(*(f"Left out: '{name}' has not all of the truth's subnets yet." for name in partial))


def _extrapolations(study: Study) -> list[str]:
    title = "## Ten epochs, extrapolated"
    if missing := study.missing(study.truth_name, FINETUNED):
        return [title, _left_out(missing)]
    anchors, ways = study.extrapolations()
    if not ways:
        return [title, f"Left out: too few fine-tuning curves of the truth's subnets in `{FINETUNED}`."]
    rows = [[way, e.subnets, e.overall, e.in_bands, f"{e.error:.2f}"] for way, e in ways.items()]
    return [
        title,
        markdown.table(["curve read as", "subnets", "overall", "inside bands", "mean error (dB)"], rows),
        f"Anchors, left out of the figures: {', '.join(map(str, anchors))}. Curves are on the list that ranks, the "
        "truth is on its own, so the first two errors hold the difference of the lists.",
    ]


def _inherited(study: Study) -> list[str]:
    title = "## Inherited or retrained"
    ways = study.on_the_test_list()
    if missing := study.missing(study.truth_name):
        return [title, _left_out(missing)]
    rows = [
        [str(subnet), COSTS["params"].show(study.parameters[subnet])]
        + [f"{values[subnet]:.2f}" if subnet in values else "-" for values in ways.values()]
        for subnet in study.looked_at()
    ]
    blocks = [
        title,
        markdown.table(["subnet", "parameters", *ways], rows),
        "SI-SNRi in dB, all on the list of the truth.",
    ]
    for way, values in ways.items():
        if values != study.truth and (difference := study.against_truth(values)):
            blocks.append(
                f"{way.capitalize()} minus the truth, {difference.subnets} subnets: mean {difference.mean:+.2f} dB, "
                f"standard deviation {difference.standard_deviation:.2f} dB."
            )
    return blocks + _lines(_left_out(study.missing("shared_test", "finetuned_test", LONGER)))


def _whole(study: Study) -> dict[str, Values]:
    """The scores that all 324 have."""
    return {name: values for name, values in study.cheap.items() if len(values) == len(SearchSpace())}


def _effects(study: Study) -> list[str]:
    blocks = ["## What each axis is worth"]
    columns = {f"{name}, {len(values)}": main_effects(values) for name, values in _whole(study).items()}
    fitted = fitted_effects(study.truth)
    rows = []
    for step in STEPS:
        row = [f"{step.axis} {step.old:g} -> {step.new:g}"]
        row += [f"{effects[step].change:+.3f} ({effects[step].standard_deviation:.3f})" for effects in columns.values()]
        row += [_mean(fitted[step])] if fitted else []
        rows.append(row)
    stand_alone = [f"stand-alone, {len(study.truth)}"] if fitted else []
    if columns or fitted:
        blocks += [
            markdown.table(["step", *columns, *stand_alone], rows),
            "dB. Scores: mean over all pairs that differ in this step alone (its standard deviation over the pairs). "
            "Stand-alone: least squares, axes taken as additive, +- standard error.",
        ]
    for name, values in _whole(study).items():
        spread = float(np.std(list(values.values())))
        axes = ", ".join(f"{axis} {share:.0%}" for axis, share in axis_shares(values).items())
        added = list(interactions(values).items())[:LARGEST_INTERACTIONS]
        pairs = ", ".join(f"{a} x {b} {share:.1%} ({share**0.5 * spread:.3f} dB)" for (a, b), share in added)
        blocks.append(
            f"{name.capitalize()}, share of the variance that one axis explains alone: {axes}; all together "
            f"{additive_share(values):.1%}. Largest interactions add: {pairs}."
        )
    incomplete = [name for name in study.cheap if name not in _whole(study)]
    blocks += _lines(*(f"Left out: '{name}' does not have all {len(SearchSpace())} yet." for name in incomplete))
    return blocks + _lines(_left_out(study.missing(*NAMES, study.truth_name)))


def _claims(study: Study) -> list[str]:
    """The paper's claims, at equal MACs where they are about shape."""
    columns: dict[str, Values] = {"stand-alone": study.truth} if len(study.truth) >= LEAST else {}
    columns |= _whole(study)
    if not columns:
        return []
    blocks = ["## The paper's claims"]
    costs = [_cost_of_lips(name, values) for name, values in columns.items()]
    blocks.append(f"Visual channels 256 -> 128 cost 0.3 dB. Here: {'; '.join(filter(None, costs))}.")

    headers = [f"{name}, {len(values)}" for name, values in columns.items()]
    shapes: dict[str, Values] = {
        name: {subnet: shape(subnet) for subnet in SearchSpace()} for name, shape in SHAPES.items()
    }
    taus = [study.shapes_at_equal_macs(values, shapes) for values in columns.values()]
    blocks += [
        "Shallow and wide is better. Mean tau inside bands of equal MACs, below 0 where less of it is better (all "
        f"{len(SearchSpace())} are the whole space: there the interval only says how evenly it holds):",
        markdown.table(["shape", *headers], [[name, *(of[name] for of in taus)] for name in SHAPES]),
        "An expansion ratio of 1.5 to 2 is best. Distance from the mean of the band, dB, +- standard error (subnets):",
    ]
    means = [at_equal_macs(values, equal_macs(values, study.width), "expansion") for values in columns.values()]
    rows = [
        [f"{option:g}", *(f"{_mean(of[option])} ({of[option].count})" if option in of else "-" for of in means)]
        for option in AXES["expansion"]
    ]
    return [*blocks, markdown.table(["ratio", *headers], rows)]


def _cost_of_lips(name: str, values: Values) -> str:
    step = next(step for step in STEPS if step.axis == "visual")
    if name == "stand-alone":
        fitted = fitted_effects(values)
        return f"{name} {fitted[step].value:.2f} +- {fitted[step].standard_error:.2f} dB" if fitted else ""
    return f"{name} {main_effects(values)[step].change:.2f} dB"


def _left_out(missing: list[str]) -> str:
    return f"Left out: no table {', '.join(f'`{name}`' for name in missing)}; {MAKE}." if missing else ""


def _lines(*lines: str) -> list[str]:
    return [line for line in lines if line]


def _db(value: float) -> str:
    return UNKNOWN if np.isnan(value) else f"{value:.2f} dB"


def _share(value: float) -> str:
    return UNKNOWN if np.isnan(value) else f"{value:.0%}"


def _tau(value: float) -> str:
    return UNKNOWN if np.isnan(value) else f"{value:.3f}"


def _mean(mean: Mean) -> str:
    return f"{mean.value:+.3f} +- {mean.standard_error:.3f}"
