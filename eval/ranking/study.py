"""Cheap scores held against stand-alone training: all that `ofa-avse rank` says, as figures. Free of torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np

from eval.costs import macs, parameters
from eval.ranking.bands import equal_macs
from eval.ranking.extrapolation import FULL, anchored, last_epochs, power_law
from eval.ranking.tau import Choice, Interval, Resamples, Values, pooled_deviation, receptive_field, regret
from eval.table.quality_table import QualityTable, check_alike, check_seeds
from eval.table.rows import AGAIN
from eval.table.shipped import MAKE, Tables, of_seeds
from supernet.errors import UserError
from supernet.space import PAPER_WINNER, SearchSpace, Subnet

SHARED, FINETUNED = "shared_val", "finetuned_seed0"
STANDALONE, LONGER = "standalone", "standalone_longer"  # what can be the truth
OF_A_STUDY = {"shared_": "shared", "finetuned_": "finetuned", "standalone_": "retrained"}  # fidelities of its tables
NAMES = {SHARED: "shared", FINETUNED: "fine-tuned"}
MACS = "MACs alone"
BUDGETS = (0.5, 0.75, 1.0, 1.5, 2.0)  # times the parameters of the paper's winner
ANCHORS = 4  # fully trained subnets that an extrapolation may look at
LOOKED_AT = [PAPER_WINNER, SearchSpace.smallest, SearchSpace.largest]


@dataclass(frozen=True)
class Ranked:
    """How well one score ranks: tau against the mean over the seeds of the truth."""

    subnets: int
    overall: Interval
    in_bands: Interval
    of_ceiling: Interval  # overall tau over the ceiling
    of_ceiling_one_seed: Interval  # the same of the score's tau against single seeds: like for like
    ahead: Interval  # overall tau minus that of MACs on the same draws
    ahead_in_bands: Interval


@dataclass(frozen=True)
class Noise:
    """Standard deviations, dB. The spreads are of the mean over the seeds, so some of the noise is in them.

    Signal is the share of a spread's variance that is no seed noise, 0 at least; NaN with one seed.
    """

    seeds: float  # of one subnet from seed to seed, beyond what moves all subnets alike; NaN with one seed
    overall: float  # spread of the truth
    in_bands: float
    signal: float  # of the spread overall
    signal_in_bands: float


@dataclass(frozen=True)
class Budget:
    """What each score's choice costs within a number of parameters."""

    of_winner: float  # times the parameters of the paper's winner
    parameters: float
    subnets: int  # of the truth, within
    choices: dict[str, Choice]  # by score


@dataclass(frozen=True)
class Extrapolated:
    """One way to read a ten-epoch curve, on the subnets that are no anchors."""

    subnets: int
    overall: Interval
    in_bands: Interval
    error: float  # dB, mean absolute


@dataclass(frozen=True)
class Difference:
    """One quality minus stand-alone, dB, over the subnets that have both."""

    subnets: int
    mean: float
    standard_deviation: float


class Study:
    """The tables that are there, and what they say of each other.

    Args:
        tables: those of the package, or of a run of `truth`.
        truth: which stand-alone trainings count as the truth, `standalone` or `standalone_longer`.

    Raises:
        UserError: there is no such truth, or none of the tables that matter, one is damaged, or they belong to
            different studies.
    """

    def __init__(self, tables: Tables, truth: str = STANDALONE) -> None:
        if truth not in (STANDALONE, LONGER):
            raise UserError(f"truth '{truth}': must be {STANDALONE} or {LONGER}")
        self.truth_name = truth
        files = {name: path for name, path in tables.files.items() if name.startswith(tuple(OF_A_STUDY))}
        self.tables = {name: QualityTable.load(path) for name, path in files.items()}
        if not self.tables:
            raise UserError(f"{tables.place}: holds no table of stand-alone or shared scores; {MAKE}")
        self._check()
        self.width = next(iter(self.tables.values())).header.width
        self.values = {name: _values(table) for name, table in self.tables.items()}
        self.seeds = self._seeds_of(truth)
        self.truth = _mean(self.seeds)

    def _check(self) -> None:
        """Raise UserError unless the tables are what their names say, and of one study."""
        first = next(iter(self.tables.values()))
        same_list = {table.header.list: table for table in self.tables.values()}
        of_supernet = [table for name, table in self.tables.items() if not name.startswith("standalone_")]
        for name, table in self.tables.items():
            fidelity = next(OF_A_STUDY[kind] for kind in OF_A_STUDY if name.startswith(kind))
            if table.header.fidelity != fidelity:
                raise UserError(f"{table.path}: holds {table.header.fidelity} scores, and not {fidelity} ones; {MAKE}")
            check_alike(first, table, ("width", "causal", "norm"))
            check_alike(same_list[table.header.list], table, ("clips", "data_hash"))
        for table in of_supernet:
            check_alike(of_supernet[0], table, ["weights_hash"])
        for name in (STANDALONE, LONGER, "finetuned"):
            check_seeds([self.tables[seed] for seed in of_seeds(self.tables, name)])

    def missing(self, *names: str) -> list[str]:
        """Those of `names` that are not there; `standalone` stands for all of its seeds."""
        return [name for name in names if name not in self.tables and not of_seeds(self.tables, name)]

    @cached_property
    def parameters(self) -> dict[Subnet, int]:
        """Of all 324."""
        return {subnet: parameters(subnet, self.width) for subnet in SearchSpace(self.width)}

    @cached_property
    def macs(self) -> dict[Subnet, float]:
        """Per second of audio, of all 324."""
        return {subnet: macs(subnet, self.width) for subnet in SearchSpace(self.width)}

    @property
    def cheap(self) -> dict[str, Values]:
        """The two scores that the supernet gives, where they are there."""
        return {label: self.values[name] for name, label in NAMES.items() if name in self.values}

    def bands(self, *scores: Values) -> list[list[Subnet]]:
        """Subnets of the truth that all `scores` have, in bands of equal MACs."""
        return equal_macs([s for s in self.truth if all(s in score for score in scores)], self.width)

    def ranking(self) -> dict[str, Ranked]:
        """By the name of a score: those of the supernet, and what needs no training at all."""
        sizes: dict[str, Values] = {
            "parameters alone": self.parameters,
            MACS: self.macs,
            "receptive field alone": {subnet: receptive_field(subnet) for subnet in self.truth},
        }
        return {name: self._ranked(score) for name, score in {**self.cheap, **sizes}.items()}

    def _ranked(self, score: Values) -> Ranked:
        all_of_both = Resamples(self.bands(score))
        overall, in_bands = all_of_both.tau(score, self.truth), all_of_both.tau_in_bands(score, self.truth)
        complete = Resamples(self.bands(score, *self.seeds))
        ceiling = self._between_seeds(complete.tau)
        one_seed = np.mean([complete.tau(score, seed) for seed in self.seeds], axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):  # a draw whose seeds do not agree at all
            shares = complete.tau(score, self.truth) / ceiling, one_seed / ceiling
        return Ranked(
            subnets=len(all_of_both.subnets),
            overall=Interval.of(overall),
            in_bands=Interval.of(in_bands),
            of_ceiling=Interval.of(shares[0]),
            of_ceiling_one_seed=Interval.of(shares[1]),
            ahead=Interval.of(overall - all_of_both.tau(self.macs, self.truth)),
            ahead_in_bands=Interval.of(in_bands - all_of_both.tau_in_bands(self.macs, self.truth)),
        )

    def ceiling(self) -> tuple[int, Interval, Interval]:
        """Subnets that every seed has, and tau of one seed against another: overall, inside bands."""
        sample = Resamples(self.bands(*self.seeds))
        overall, in_bands = (self._between_seeds(tau) for tau in (sample.tau, sample.tau_in_bands))
        return len(sample.subnets), Interval.of(overall), Interval.of(in_bands)

    def _between_seeds(self, tau) -> np.ndarray:
        """Mean of `tau` over the pairs of seeds; NaN with one seed."""
        taus = [tau(first, second) for first, second in combinations(self.seeds, 2)]
        return np.mean(taus, axis=0) if taus else np.full(1, np.nan)

    def noise(self) -> Noise:
        """How much of the truth is noise.

        All subnets of a seed see the same batches, and luckier ones lift them all. That orders nothing, and is in no
        spread between subnets: so the noise is how far the differences of two seeds spread about their own mean.
        """
        differences = [[b[s] - a[s] for s in a if s in b] for a, b in combinations(self.seeds, 2)]
        seeds = pooled_deviation(differences) / float(np.sqrt(2))
        trainings = [sum(subnet in seed for seed in self.seeds) for subnet in self.truth]
        left = fmean(seeds**2 / count for count in trainings)  # variance that the mean over the seeds keeps
        overall = pooled_deviation([list(self.truth.values())])
        in_bands = pooled_deviation([[self.truth[subnet] for subnet in band] for band in self.bands()])
        return Noise(seeds, overall, in_bands, _signal(left, overall), _signal(left, in_bands))

    def difference_error(self) -> float:
        """Standard error of the difference of two subnets of the truth, from seed noise, dB; NaN with one seed."""
        return self.noise().seeds * float(np.sqrt(2 / len(self.seeds)))

    def regret(self) -> list[Budget]:
        """What choosing by each score costs, within multiples of the winner's parameters."""
        winner = self.parameters[PAPER_WINNER]
        budgets = [Budget(times, times * winner, *self._within(times * winner)) for times in BUDGETS]
        return [budget for budget in budgets if budget.subnets]

    def mean_regret(self) -> dict[str, float]:
        """By score, mean over one budget at each size that the truth has, dB."""
        made = [self._within(size)[1] for size in {self.parameters[subnet] for subnet in self.truth}]
        return {name: fmean(choices[name].regret for choices in made) for name in self.choosers}

    @property
    def choosers(self) -> dict[str, Values]:
        """The scores that have every subnet of the truth to choose from."""
        return {name: score for name, score in {**self.cheap, MACS: self.macs}.items() if set(self.truth) <= set(score)}

    def _within(self, most: float) -> tuple[int, dict[str, Choice]]:
        """Subnets of at most so many parameters, and what each score takes of them."""
        choices = {name: regret(score, self.truth, self.parameters, most) for name, score in self.choosers.items()}
        within = sum(self.parameters[subnet] <= most for subnet in self.truth)
        return within, {name: choice for name, choice in choices.items() if choice}

    def extrapolations(self) -> tuple[list[Subnet], dict[str, Extrapolated]]:
        """The anchors, and each way to read the fine-tuning curves against the truth; ([], {}) where there are none."""
        table = self.tables.get(FINETUNED)
        if table is None:
            return [], {}
        curves = {row.subnet: row.curve for row in table.rows if row.curve}
        known = sorted((s for s in self.truth if s in curves), key=lambda s: (self.macs[s], s))
        if len(known) < 2 * ANCHORS:
            return [], {}
        anchors = [known[round(i)] for i in np.linspace(0, len(known) - 1, ANCHORS)]
        curves = {subnet: curves[subnet] for subnet in known}
        epochs = self._epochs(table)
        ways = {
            "mean of the last three epochs": last_epochs(curves),
            f"power law, read at {epochs:g} epochs": power_law(curves, epochs),
            "mean and offset of the anchors": anchored(curves, {subnet: self.truth[subnet] for subnet in anchors}),
        }
        rest = [subnet for subnet in known if subnet not in anchors]
        sample = Resamples(equal_macs(rest, self.width))
        return anchors, {
            way: Extrapolated(
                subnets=len(rest),
                overall=Interval.of(sample.tau(values, self.truth)),
                in_bands=Interval.of(sample.tau_in_bands(values, self.truth)),
                error=fmean(abs(values[subnet] - self.truth[subnet]) for subnet in rest),
            )
            for way, values in ways.items()
        }

    def _epochs(self, finetuned: QualityTable) -> float:
        """Epochs of the fine-tuning's length that a stand-alone training has."""
        full = _training(self.tables[of_seeds(self.tables, self.truth_name)[0]], "steps")
        epoch = _training(finetuned, "batches_per_epoch")
        return full / epoch if full and epoch else FULL

    def record(self) -> dict[str, Any]:
        """How well each score ranks, and what choosing by it costs, as JSON values; None for what is not known.

        Raises UserError where the truth's tables are missing.
        """
        if missing := self.missing(self.truth_name):
            raise UserError(f"rank: {', '.join(missing)}: not there yet; make it by `ofa-avse truth`")
        regret = self.mean_regret()
        scores = {
            name: {key: _known(value) for key, value in asdict(ranked).items()} | {"mean_regret": regret.get(name)}
            for name, ranked in self.ranking().items()
        }
        return {"width": self.width, "truth": self.truth_name, "subnets": len(self.truth), "scores": scores}

    def on_the_test_list(self) -> dict[str, Values]:
        """By how its weights came about, the quality of subnets on the list of the truth, dB."""
        ways = {
            "inherited": self.values.get("shared_test", {}),
            "after ten epochs": self.values.get("finetuned_test", {}),
            "from scratch": self._mean_of(STANDALONE),
            "from scratch, longer": self._mean_of(LONGER),
        }
        return {way: values for way, values in ways.items() if values}

    def looked_at(self) -> list[Subnet]:
        """The few subnets that were fine-tuned on this list too; winner, smallest and largest where none was."""
        return list(self.values.get("finetuned_test", LOOKED_AT))

    def _mean_of(self, name: str) -> Values:
        """The mean over the seeds of a stand-alone training; empty where there is none."""
        return _mean(self._seeds_of(name))

    def _seeds_of(self, name: str) -> list[Values]:
        """The single trainings of `name`, at one level."""
        return _levelled([self.values[seed] for seed in of_seeds(self.tables, name)])

    def against_truth(self, values: Values) -> Difference | None:
        """`values` minus the truth; None without two subnets in common."""
        both = [values[subnet] - self.truth[subnet] for subnet in values if subnet in self.truth]
        return Difference(len(both), fmean(both), float(np.std(both, ddof=1))) if len(both) > 1 else None

    def shapes_at_equal_macs(self, values: Values, shapes: dict[str, Values]) -> dict[str, Interval]:
        """Mean in-band tau of each of `shapes` with `values`."""
        sample = Resamples(equal_macs(values, self.width))
        return {name: Interval.of(sample.tau_in_bands(shape, values)) for name, shape in shapes.items()}


def _known(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _known(part) for key, part in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _signal(noise: float, spread: float) -> float:
    """Share of the variance of a spread that is no noise; NaN where nothing spreads."""
    return float(np.maximum(1 - noise / spread**2, 0)) if spread else np.nan


def _training(table: QualityTable, key: str) -> int | None:
    """A count among the settings of a table's trainings; None where it is not given."""
    count = table.header.training.get(key)
    if count is not None and not (isinstance(count, int) and count > 0):
        raise UserError(f"{table.path}: damaged header (training.{key} must be a whole number above 0); {AGAIN}")
    return count


def _values(table: QualityTable) -> Values:
    return {row.subnet: row.si_snri for row in table.rows}


def _mean(seeds: Sequence[Values]) -> Values:
    """Mean over those of the seeds that have a subnet."""
    subnets = dict.fromkeys(subnet for seed in seeds for subnet in seed)
    return {subnet: fmean(seed[subnet] for seed in seeds if subnet in seed) for subnet in subnets}


def _levelled(seeds: Sequence[Values]) -> list[Values]:
    """The seeds, each moved as a whole to the mean level of all, by the subnets that all have.

    A seed's batches lift or lower all its subnets alike. That orders nothing, but while a seed lacks some subnets, they
    would stand out in the mean. The mean over seeds that have the same subnets stays what it is.
    """
    everywhere = [subnet for subnet in seeds[0] if all(subnet in seed for seed in seeds)] if seeds else []
    if not everywhere:
        return list(seeds)
    levels = [fmean(seed[subnet] for subnet in everywhere) for seed in seeds]
    return [
        {subnet: value + fmean(levels) - level for subnet, value in seed.items()}
        for seed, level in zip(seeds, levels, strict=True)
    ]
