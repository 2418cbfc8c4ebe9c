"""The `tables` command: the paper's Table 2 and the search rows of its Table 3 from a run, its figures beside.

Source: section 4 of "Efficient Audio-Visual Speech Enhancement via Neural Architecture Search".
"""

from __future__ import annotations

from itertools import zip_longest

from controller.run.config import Settings
from controller.run.run import Run
from controller.search.document import SearchDocument, Step
from eval.costs import parameters
from eval.report import markdown
from supernet.space import AXES, SearchSpace, Subnet

SYMBOLS = dict(zip(AXES, "EBXRHV", strict=True))
TABLE_2 = (  # step, parameters in M, SI-SNRi in dB, its difference, reward, change
    ("0", "22.0", "15.2", "0.00", "0.00", "baseline"),
    ("5", "16.2", "15.1", "-0.1", "0.72", "E:256→192"),
    ("10", "8.4", "15.0", "-0.2", "1.25", "B:256→192"),
    ("15", "5.1", "14.9", "-0.3", "1.87", "R:4→3"),
    ("20", "3.8", "14.7", "-0.5", "2.01", "X:8→6"),
    ("25", "3.1", "14.6", "-0.6", "2.13", "H:2.5→2.0"),
    ("30", "2.9", "14.5", "-0.7", "2.31", "V:256→128"),
)
TABLE_3 = {  # parameters in M, SI-SNRi in dB on the test set, real-time factor
    "AVSE baseline": ("22.0", "15.2", "0.82"),
    "random search, best": ("2.4", "13.9", "0.22"),
    "found by the controller": ("2.9", "14.5", "0.19"),
}
RANDOM_FIRST = "run `ofa-avse search --search.method random` with the same settings, then `ofa-avse search` again"


def tables(settings: Settings) -> None:
    """Print both tables as Markdown."""
    run = Run(settings)
    document = run.searched(run.paths.search / "ppo.json")
    print(f"{progression(document)}\n\n{comparison(run, document)}")


def progression(document: SearchDocument) -> str:
    """Table 2: each step of the search that found a better reward than all before it, the paper's steps beside."""
    best, before, ours = None, SearchSpace.largest, []
    base = document.trajectory[0]
    for number, step in enumerate(document.trajectory):
        subnet = Subnet.parse(step.subnet)
        may_win = document.may_win(subnet) and step.si_snri is not None
        if number and not (may_win and (best is None or step.reward > best)):
            continue
        best = step.reward if number else None  # the start itself exceeds the bound
        change = ", ".join(_changes(before, subnet)) if number else "baseline"
        ours.append((f"{number}", _millions(step.params), *_decibels(step, base), f"{step.reward:.3f}", change))
        before = subnet
    names = ("step", "params (M)", "SI-SNRi (dB)", "Δ SI-SNR", "reward", "key change")
    found = f"{document.winner.fidelity}, {document.winner.clips} validation clips"
    title = (
        f"Table 2. Progression of the search ({found}); on the right the paper's, whose rewards its eq. 3 cannot give."
    )
    rows = zip_longest(ours, TABLE_2, fillvalue=("",) * len(names))
    headers = [*names, *(f"paper: {name}" for name in names)]
    return f"{title}\n\n{markdown.table(headers, [[*a, *b] for a, b in rows])}"


def comparison(run: Run, document: SearchDocument) -> str:
    """Table 3's search rows, at every fidelity that the run knows."""
    path = run.paths.search / "random.json"
    random = run.searched(path) if path.is_file() else None
    carried = run.extrapolated(document) | (run.extrapolated(random) if random else {})
    systems = {
        "AVSE baseline": (SearchSpace.largest, document.trajectory[0].si_snri),
        "random search, best": (Subnet.parse(random.winner.subnet), random.winner.si_snri) if random else None,
        "found by the controller": (Subnet.parse(document.winner.subnet), document.winner.si_snri),
    }
    rows = []
    for name, system in systems.items():
        if system is None:
            rows.append([name, RANDOM_FIRST, *[""] * 5, *TABLE_3[name]])
            continue
        subnet, tuned = system
        retrained = run.retrained(subnet)
        rows.append(
            [
                name,
                str(subnet),
                _millions(parameters(subnet, run.settings.network.width)),
                _number(tuned),
                _number(carried.get(subnet)),
                _number(retrained.value if retrained else None),
                f"{run.table[subnet].rtf:.4f}",
                *TABLE_3[name],
            ]
        )
    headers = ["model", "subnet", "params (M)", "SI-SNRi fine-tuned", "extrapolated", "retrained", "RTF (this CPU)"]
    headers += ["paper: params (M)", "paper: SI-SNRi", "paper: RTF"]
    looks = {"controller": document, "random": random}
    counts = ", ".join(f"{name} {d.distinct_evaluations}" for name, d in looks.items() if d)
    title = (
        f"Table 3. Search rows (validation list, dB; distinct evaluations: {counts}); the paper's are of CEC2's test."
    )
    return f"{title}\n\n{markdown.table(headers, rows)}"


def _changes(before: Subnet, after: Subnet) -> list[str]:
    """What differs: `E:256→192`."""
    values = {axis: (getattr(before, axis), getattr(after, axis)) for axis in AXES}
    return [f"{SYMBOLS[axis]}:{old:g}→{new:g}" for axis, (old, new) in values.items() if old != new]


def _decibels(step: Step, base: Step) -> tuple[str, str]:
    """SI-SNRi of a step, and its difference to the baseline's."""
    if step.si_snri is None or base.si_snri is None:
        return _number(step.si_snri), ""
    return _number(step.si_snri), f"{step.si_snri - base.si_snri:+.2f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _millions(count: int) -> str:
    return f"{count / 1e6:.3f}"
