"""GRID, `s1/bbaf2n.mpg`: https://spandh.dcs.shef.ac.uk/gridcorpus/. Speakers s1 to s34, 75 frames each, the file named
after its sentence. The layout is that of `folders`; what is GRID's own is that a speaker says each sentence once.
"""

from __future__ import annotations

import re
from pathlib import Path

from supernet.data.corpus import Clip
from supernet.data.recordings.readers import Recording, folders

SENTENCE = re.compile(r"(?:.*_)?([bls][bgrw][abiw][a-z][z1-9][anps])")  # "bbaf2n": bin blue at f two now


def read(root: Path, key: str) -> list[Recording]:
    return folders.read(root, key)


def identity(clip: Clip) -> str:
    """The same for two files that hold one recording: a speaker says each GRID sentence once."""
    sentence = SENTENCE.fullmatch(Path(clip.source).stem)
    return f"{clip.speaker} says {sentence[1]}" if sentence else clip.id
