"""The report's sections as HTML: each function takes the content and gives one section's body. Text from outside is
escaped here and in `eval.report.markup`, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from itertools import cycle

from eval.report.content import EvaluationRow, ExampleClip, FidelityRow, Missing, ReportContent, Score
from eval.report.figures import COST_LABELS
from eval.report.format import UNDEFINED, count, decibels, duration, score
from eval.report.markup import data_table, missing_cell, nothing_yet, number, plot_space, subnet_code
from eval.report.media import audio_url, lips_sprite_url, spectrogram_db, spectrogram_url
from eval.table.quality_table import QualityRow, QualityTable

METRICS = {"si_snri": ("SI-SNRi", "dB", 2), "pesq": ("PESQ-WB", "1 to 4.5", 2), "stoi": ("STOI", "0 to 1", 3),
           "estoi": ("ESTOI", "0 to 1", 3)}  # fmt: skip
STAGE_COLOURS = ("#0f766e", "#4f5bd5", "#d9480f", "#b7791f", "#8a94a3", "#7c3aed", "#0369a1", "#be185d")


def headline(content: ReportContent) -> str:
    winner = content.winner
    return (
        f"<b>{escape(score(winner.si_snri, ' dB'))}</b> cleaner speech from a network of "
        f"<b>{escape(count(winner.params))}</b> parameters"
    )


def lead(content: ReportContent) -> str:
    winner = content.winner
    return (
        f"{subnet_code(winner.subnet)}, {escape(winner.weights)}: mean SI-SNR improvement over "
        f"{winner.si_snri.clips} test clips, ± one standard error. {escape(content.corpus)}"
    )


def facts(content: ReportContent) -> str:
    winner, table = content.winner, content.table
    distinct = len({row.subnet for row in content.search})
    pairs = [
        ("winner", subnet_code(winner.subnet), ""),
        ("SI-SNRi", escape(score(winner.si_snri, " dB")), f"{winner.si_snri.clips} test clips"),
        ("parameters", escape(count(winner.params)), _share_of_largest(content)),
        ("MACs", escape(count(winner.macs)), "per second of audio"),
        ("RTF", f"{winner.rtf:.2g}" if math.isfinite(winner.rtf) else UNDEFINED, "of real time, measured here"),
        ("subnets compared", str(len(table)) if table else "&mdash;", f"{distinct} evaluated by the search"),
        ("the whole job", escape(duration(sum(content.stage_seconds.values()))), "on this machine"),
    ]
    return "".join(f"<div><dt>{t}</dt><dd>{d}<small>{escape(s)}</small></dd></div>" for t, d, s in pairs)


def _share_of_largest(content: ReportContent) -> str:
    if not content.table:
        return ""
    return f"{content.winner.params / max(row.params for row in content.table.rows):.0%} of the largest"


def examples(content: ReportContent) -> str:
    if not content.examples:
        return nothing_yet("No example clip was kept.", "ofa-avse evaluate")
    return "".join(_example(example) for example in content.examples)


def _example(example: ExampleClip) -> str:
    sheet, columns, rows = lips_sprite_url(example.lips)
    signals = {"noisy": example.noisy, "enhanced": example.enhanced, "clean": example.clean}
    spectrograms = {name: spectrogram_db(samples) for name, samples in signals.items()}
    loudest = max(float(decibels_.max()) for decibels_ in spectrograms.values())
    players = "".join(
        f'<div class="signal"><span>{name}</span><div class="spectrogram">'
        f'<img src="{spectrogram_url(spectrograms[name], loudest)}" alt="spectrogram, {name}"><i></i></div>'
        f'<audio controls preload="metadata" src="{audio_url(samples)}"></audio></div>'
        for name, samples in signals.items()
    )
    return (
        f'<article class="example"><h3>{escape(example.condition)}<span>{escape(example.clip)}, mixed at '
        f"{example.snr_db:+.1f} dB SNR; enhanced by {escape(decibels(example.si_snri))} SI-SNRi</span></h3>"
        f'<div class="lips" role="img" aria-label="lips of the talker" data-frames="{len(example.lips)}" '
        f'data-columns="{columns}" data-rows="{rows}" style="background-image:url({sheet});'
        f'background-size:{100 * columns}% {100 * rows}%"></div><div class="signals">{players}</div></article>'
    )


def conditions(content: ReportContent) -> str:
    if not content.evaluation:
        return nothing_yet("The winner has not been evaluated on the test list.", "ofa-avse evaluate")
    figure = plot_space(
        "plot-conditions",
        "SI-SNR improvement over the noisy mixture on the test list, by condition and system; bars show one standard "
        "error either side. Where the masker is another talker, only the lips tell whom to keep, so true lips should "
        "stand well above none, and another clip's lips should not help.",
    )
    tables = "".join(_metric_table(metric, content.evaluation) for metric in METRICS)
    failures = sum(row.failures for row in content.evaluation)
    note = (
        "Every metric is defined for every file of every system." if not failures else
        f"Files for which a metric has no value (silence, or too little speech): {failures}, counted in the "
        "last column. They are left out of that metric's mean."
    )  # fmt: skip
    return figure + tables + f'<p class="note">{note}</p>'


def _metric_table(metric: str, rows: Iterable[EvaluationRow]) -> str:
    """One metric: systems down, conditions across, the best of a condition in bold."""
    rows = list(rows)
    label, unit, digits = METRICS[metric]
    names = list(dict.fromkeys(row.condition for row in rows))
    best = {name: _best([getattr(row, metric).mean for row in rows if row.condition == name]) for name in names}
    body = ""
    for system in dict.fromkeys(row.system for row in rows):
        own = {row.condition: row for row in rows if row.system == system}
        cells = ""
        for name in names:
            if name not in own:
                cells += missing_cell(Missing("ofa-avse evaluate"))
                continue
            value: Score = getattr(own[name], metric)
            marked = ' class="best"' if value.mean == best[name] else ""
            cells += f"<td{marked}>{escape(score(value, digits=digits))}</td>"
        body += f"<tr><th>{escape(system)}</th>{cells}<td>{sum(row.failures for row in own.values())}</td></tr>"
    clips = {name: max(getattr(row, metric).clips for row in rows if row.condition == name) for name in names}
    heads = "".join(f"<th>{escape(name)}<br><small>{clips[name]} clips</small></th>" for name in names)
    caption = f"{label} <span>{unit}; mean ± standard error</span>"
    return data_table(caption, f"<th>system</th>{heads}<th>failures</th>", body)


def _best(means: list[float]) -> float:
    defined = [mean for mean in means if not math.isnan(mean)]
    return max(defined, default=math.nan)


def measured_costs(table: QualityTable | None) -> list[str]:
    """The costs that can be plotted: parameters, and RTF where it was measured for every subnet."""
    if table is None:
        return []
    return [cost for cost in COST_LABELS if not any(math.isnan(getattr(row, cost)) for row in table.rows)]


def budget(content: ReportContent) -> str:
    table = content.table
    if table is None:
        return nothing_yet("The subnets have not been scored.", "ofa-avse score")
    costs = measured_costs(table)
    sliders = "".join(
        f'<label for="slider-{cost}">{COST_LABELS[cost]} at most <output id="limit-{cost}"></output>'
        f'<input id="slider-{cost}" type="range" min="0" step="1"></label>'
        for cost in costs
    )
    header = table.header
    threads = "one thread" if header.threads == 1 else f"{header.threads} threads"
    captions = {
        "params": "Quality against size.",
        "rtf": f"Quality against speed, measured here with {threads} on {header.seconds:g} s of audio.",
    }
    plots = "".join(
        plot_space(
            f"plot-{cost}",
            f"{captions[cost]} Each point is one of the {len(table)} subnets with {escape(header.fidelity)} weights, "
            f"its mean over {header.clips} validation clips (standard error {_typical_error(table):.2f} dB); "
            "hover for its name.",
        )
        for cost in costs
    )
    return (
        f"<p>One trained network holds all {len(table)}. Set what you can afford; the ring shows the best that fits. "
        f"This ranking uses {escape(header.fidelity)} weights throughout, so its figures compare with each other, and "
        "not with those of a network trained by itself.</p>"
        f'<div class="budget-box">{sliders}<p id="answer" aria-live="polite"></p></div><div class="pair">{plots}</div>'
    )


def _typical_error(table: QualityTable) -> float:
    errors = sorted(row.si_snri_se for row in table.rows)
    return errors[len(errors) // 2]


def search(content: ReportContent) -> str:
    if not content.search:
        return nothing_yet("No search has been run.", "ofa-avse search")
    distinct = len({row.subnet for row in content.search})
    figure = plot_space(
        "plot-search",
        f"Reward after each step of the {escape(content.search_method)} search: {len(content.search)} steps, "
        f"{distinct} distinct subnets, each evaluated once with {escape(content.search_fidelity)} weights on "
        f"{content.search_clips} validation clips. A step that comes back to a known subnet costs nothing.",
    )
    ranked = sorted({row.subnet: row for row in content.search}.values(), key=lambda row: -row.reward)
    body = "".join(
        f"<tr{_winner_class(row.subnet, content)}><th>{subnet_code(row.subnet)}</th><td>{count(row.params)}</td>"
        f"<td>{escape(decibels(row.si_snri))}</td><td>{row.reward:.3f}</td><td>{row.episode}.{row.step}</td></tr>"
        for row in ranked[:12]
    )
    head = "<th>subnet</th><th>parameters</th><th>SI-SNRi</th><th>reward</th><th>last visited in<br>episode.step</th>"
    caption = f"What the search evaluated <span>the best {min(12, distinct)} of {distinct} by reward</span>"
    return figure + data_table(caption, head, body)


def fidelities(content: ReportContent) -> str:
    if not content.fidelities:
        return nothing_yet("No subnet has been evaluated at more than one fidelity.", "ofa-avse retrain")
    names = list(dict.fromkeys(name for row in content.fidelities for name in row.scores))
    body = "".join(_fidelity_row(row, names, content) for row in content.fidelities)
    head = "<th></th><th>subnet</th><th>parameters</th>" + "".join(f"<th>{escape(name)}</th>" for name in names)
    caption = "SI-SNRi by fidelity <span>dB on the validation list, mean ± standard error (clips)</span>"
    return (
        "<p>The search trusts cheap estimates. Here is what they became: <b>shared</b> uses the big network's weights "
        "as they are, <b>finetuned</b> trains them a little further, <b>retrained</b> starts from scratch. If the "
        "columns "
        "order the rows alike, the cheap estimate was worth trusting.</p>" + data_table(caption, head, body)
    )


def _fidelity_row(row: FidelityRow, names: list[str], content: ReportContent) -> str:
    cells = ""
    for name in names:
        value = row.scores[name]
        if isinstance(value, Missing):
            cells += missing_cell(value)
        else:
            cells += f"<td>{escape(score(value))} <small>({value.clips})</small></td>"
    return (
        f"<tr{_winner_class(row.subnet, content)}><th>{escape(row.role)}</th><td>{subnet_code(row.subnet)}</td>"
        f"<td>{count(row.params)}</td>{cells}</tr>"
    )


def made(content: ReportContent) -> str:
    total = sum(content.stage_seconds.values())
    stages = list(zip(content.stage_seconds.items(), cycle(STAGE_COLOURS), strict=False))
    bar = "".join(
        f'<i style="flex:{max(seconds, 0.001):.3f};background:{colour}" title="{escape(name)}"></i>'
        for (name, seconds), colour in stages
    )
    legend = "".join(
        f'<li><i style="background:{colour}"></i>{escape(name)} {escape(duration(seconds))}</li>'
        for (name, seconds), colour in stages
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in content.notes)
    settings = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in content.settings.items())
    return (
        f"{notes}<h3>Time: {escape(duration(total))}</h3>"
        f'<div class="stages">{bar}</div><ul class="legend">{legend}</ul>'
        f'<p class="note">Machine: {escape(content.machine)}</p><h3>Settings</h3><dl class="settings">{settings}</dl>'
    )


def all_subnets(content: ReportContent) -> str:
    table = content.table
    if table is None:
        return nothing_yet("The subnets have not been scored.", "ofa-avse score")
    front = table.pareto("params")
    names = sorted({name for row in table.rows for name in row.by_condition})
    ranked = sorted(table.rows, key=lambda row: -row.si_snri)
    caption = f"Pareto front <span>no smaller subnet of the {len(table)} is as good as one of these {len(front)}</span>"
    return (
        _quality_rows(caption, front, [], content, sortable=False)
        + f"<details><summary>All {len(table)} subnets; click a heading to sort</summary>"
        + _quality_rows("", ranked, names, content, sortable=True)
        + "</details>"
    )


def _quality_rows(
    caption: str, rows: Iterable[QualityRow], condition_names: list[str], content: ReportContent, sortable: bool
) -> str:
    head = "".join(
        f"<th>{escape(name)}</th>"
        for name in ("subnet", "SI-SNRi (dB)", "parameters", "MACs/s", "RTF", *condition_names, "PESQ", "STOI", "ESTOI")
    )
    body = ""
    for row in rows:
        numbers = [
            (row.si_snri, f"{row.si_snri:.2f} <small>± {row.si_snri_se:.2f}</small>"),
            (row.params, count(row.params)),
            (row.macs, count(row.macs)),
            (row.rtf, number(row.rtf, 4)),
            *((row.by_condition.get(name, math.nan), number(row.by_condition.get(name, math.nan), 2))
              for name in condition_names),
            (row.pesq, number(row.pesq, 2)),
            (row.stoi, number(row.stoi, 3)),
            (row.estoi, number(row.estoi, 3)),
        ]  # fmt: skip
        cells = "".join(f'<td data-value="{-1e9 if math.isnan(v) else v}">{text}</td>' for v, text in numbers)
        name = str(row.subnet)
        heading = f'<th data-value="{escape(name)}">{subnet_code(name)}</th>'
        body += f"<tr{_winner_class(name, content)}>{heading}{cells}</tr>"
    return data_table(caption, head, body, "sortable" if sortable else "")


def _winner_class(subnet: str, content: ReportContent) -> str:
    return ' class="winner"' if subnet == content.winner.subnet else ""
