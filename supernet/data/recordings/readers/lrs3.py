"""LRS3, `{pretrain,trainval,test}/<11 characters>/<00001>.mp4` with a `.txt` beside: face tracks, 224 x 224, 25 fps.
The folder of a clip names the talk that it was cut from, which stands for the speaker.

The test set is official. Validation is a seeded share of the other speakers; trainval was cut from the same talks as
pretrain, so a speaker goes to validation with the clips of both. The texts are not needed.
"""

from __future__ import annotations

from pathlib import Path

from supernet.data.recordings.readers import Recording, count, draft, named
from supernet.errors import UserError

TRAINING = ("pretrain", "trainval")
LAYOUT = "LRS3 unpacks to pretrain/, trainval/ and test/ (https://mm.kaist.ac.kr/datasets/lip_reading/)"


def read(root: Path, key: str) -> list[Recording]:
    there = [part for part in (*TRAINING, "test") if (root / part).is_dir()]
    if not there:
        raise UserError(f"{key}: {root} has neither pretrain/ nor trainval/ nor test/; {LAYOUT}")
    if "test" not in there or len(there) == 1:
        missing = "no test/" if "test" not in there else "test/ but neither pretrain/ nor trainval/"
        raise UserError(f"{key}: {root} has {missing}; {LAYOUT}")
    recordings, lost = [], 0
    for part in sorted(there):
        paths = sorted((root / part).glob("*/*.mp4"))
        if not paths:
            raise UserError(f"{key}: {root / part} holds no <id>/<number>.mp4; {LAYOUT}")
        lost += len(
            {path.with_suffix("") for path in (root / part).glob("*/*.txt")} - {p.with_suffix("") for p in paths}
        )
        for path in paths:
            below = path.relative_to(root)
            clip = draft("talker", named("talker", below), below, speaker=path.parent.name)
            recordings.append(Recording(clip, path, path, splits=("test",) if part == "test" else ("train", "val")))
    count(root, {"texts have no video": lost})
    return recordings
