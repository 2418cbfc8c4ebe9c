"""Small pieces of HTML that the report's sections are put together from."""

from __future__ import annotations

import math
from html import escape

from eval.report.content import Missing


def number(value: float, digits: int) -> str:
    """`value`, or an em dash where it was not computed."""
    return "&mdash;" if math.isnan(value) else f"{value:.{digits}f}"


def subnet_code(subnet: str) -> str:
    return f'<code class="name">{escape(subnet)}</code>'


def missing_cell(missing: Missing) -> str:
    """A table cell for a figure that nothing has computed: an em dash, and the command that fills it."""
    return f'<td class="missing">&mdash;<code>{escape(missing.command)}</code></td>'


def plot_space(identity: str, caption: str) -> str:
    """Where the page's script draws the figure `identity`; `caption` is HTML."""
    return f'<figure><div class="plot" id="{identity}"></div><figcaption>{caption}</figcaption></figure>'


def data_table(caption: str, head: str, body: str, kind: str = "") -> str:
    """A table that scrolls sideways on a narrow screen; all parts are HTML."""
    title = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table class="{kind}">{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def nothing_yet(what: str, command: str) -> str:
    """Stands for a whole section that has no data, and names the command that makes it."""
    return f'<p class="empty">&mdash; {escape(what)} Run <code>{escape(command)}</code>.</p>'
