"""The commands that look at a corpus beside the one that makes it: `data inspect`."""

from __future__ import annotations

from pathlib import Path

from controller import stages
from controller.config import Settings
from supernet.data.inspection import contact_sheet
from supernet.data.manifest import Corpus
from supernet.errors import UserError


def inspect(settings: Settings, output: str | None = None, clips: int = 12) -> None:
    """Draw a prepared corpus.

    Args:
        output: PNG to write; corpus.png in the corpus's folder when not given.
        clips: how many talker clips are shown.
    """
    corpus = Corpus.open(settings.data.folder or settings.folder / "corpus")
    path = Path(output) if output else corpus.folder / "corpus.png"
    if path.suffix.lower() != ".png":
        raise UserError(f"--output: {path} must end in .png")
    shown = contact_sheet(corpus, settings.data, path, clips)
    print(f"{path}: {len(shown)} of {len(corpus.select('talker'))} talking clips; {stages.describe(corpus)}")
