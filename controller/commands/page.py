"""The `report --open` command: shows what `report` wrote."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from supernet.errors import UserError


def open(run: str = "runs/quick") -> None:
    """Show the page of a run in the browser.

    Args:
        run: folder of the run.
    """
    page = (Path(run) / "report.html").resolve()
    if not page.is_file():
        raise UserError(f"{page}: no such page; write it by `ofa-avse report --run {run}`")
    shown = webbrowser.open(page.as_uri())
    print(page if shown else f"{page}: no browser found here; open it yourself")
