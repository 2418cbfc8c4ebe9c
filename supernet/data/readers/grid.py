"""Videos of talkers, `<speaker>/<clip>.mp4` (.mpg, .avi, …), as GRID lays them out and as anybody can.

https://spandh.dcs.shef.ac.uk/gridcorpus/: speakers s1 to s34, 75 frames each, the file named after its sentence.
"""

from __future__ import annotations

import re
from pathlib import Path

from supernet.data.manifest import Clip
from supernet.data.media import VIDEO_SUFFIXES
from supernet.data.readers import Recording, draft, files

SENTENCE = re.compile(r"(?:.*_)?([bls][bgrw][abiw][a-z][z1-9][anps])")  # "bbaf2n": bin blue at f two now


def read(root: Path, key: str) -> list[Recording]:
    paths = files(root, key, VIDEO_SUFFIXES, "talker recording", depth=2)
    return [Recording(_clip(path), root / path, root / path) for path in paths]


def identity(clip: Clip) -> str:
    """The same for two files that hold one recording: a speaker says each GRID sentence once."""
    sentence = SENTENCE.fullmatch(Path(clip.source).stem)
    return f"{clip.speaker} says {sentence[1]}" if sentence else clip.id


def _clip(path: Path) -> Clip:
    return draft("talker", "-".join(("talker", *path.with_suffix("").parts)), path, speaker=path.parts[0])
