"""Damaged files among good ones: every bad one is listed with its reason, every good one is used, nothing hangs.

`OFA_AVSE_DAMAGED=7 pytest tests/supernet/data/recordings/test_damaged.py` makes seven of each kind, over
200 beside 200 good ones.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.io import wavfile

from supernet.data.recordings import preparing
from supernet.data.recordings.indexing import index
from supernet.data.recordings.readers import Recording
from supernet.data.settings import DataSettings
from tests.supernet.data.conftest import draw_face, encode_video, voice
from tests.supernet.data.damage import kinds

EACH = int(os.environ.get("OFA_AVSE_DAMAGED", 1))
GOOD = 200 if EACH > 1 else 12
VIDEO = (".mp4", ".mkv")


BY_DECODING = ("cut", "scrambled", "garbage", "nan", "infinite", "silent", "faceless", "unequal")


@dataclass
class Damaged:
    """`reasons` is what each bad file must be refused for; `good` are the ids of the clips to be had."""

    recordings: list[Recording]
    reasons: dict[Path, str]
    good: set[str]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> Damaged:
    root = tmp_path_factory.mktemp("damaged")
    generator = np.random.default_rng(0)
    for folder in ("grid/s1", "speech", "noise", "good"):
        (root / folder).mkdir(parents=True)
    wave = voice(generator, 6400)
    for suffix in VIDEO:
        encode_video(root / f"good/good{suffix}", frames=10, sound=wave, draw=draw_face)
    wavfile.write(root / "good/good.wav", 16_000, (wave * 32767).astype(np.int16))
    soundfile.write(root / "good/good.flac", wave, 16_000)
    good, reasons = set(), {}
    for n in range(GOOD):
        folder, suffix, clip = (
            ("grid/s1", ".mp4", "talker-s1"),
            ("speech", ".wav", "speech"),
            ("noise", ".flac", "noise"),
            ("grid/s1", ".mkv", "talker-s1"),
        )[n % 4]
        shutil.copyfile(root / f"good/good{suffix}", root / folder / f"good{n}{suffix}")
        good.add(f"{clip}-good{n}")
    for name, suffix, damage, reason in kinds(draw_face):
        for n in range(EACH):
            path = root / ("grid/s1" if suffix in VIDEO else "noise") / f"{name}-{suffix[1:]}-{n}{suffix}"
            damage(root / f"good/good{suffix}", path, generator)
            if os.path.lexists(path):
                reasons[path] = reason
    places = {key: str(root / folder) for key, folder in (("root", "grid"), ("speech", "speech"), ("noise", "noise"))}
    return Damaged(preparing.recordings(DataSettings(corpus="grid", **places)), reasons, good)


def test_bad_files_are_listed_with_their_reason_and_good_ones_are_used(damaged, tmp_path, capfd):
    clips, rejected = preparing.convert(damaged.recordings, tmp_path, DataSettings(workers=2))
    refused = dict(rejected)
    assert {clip.id for clip in clips} == damaged.good
    assert set(refused) == set(damaged.reasons)
    for path, reason in damaged.reasons.items():
        assert re.search(reason, refused[path]), (path.name, refused[path])
    table, printed = (tmp_path / preparing.REJECTED).read_text(), "".join(capfd.readouterr())
    for path, reason in refused.items():
        assert f"{path}\t{reason}\n" in table and f"{path}  {reason}\n" in printed
    assert all((tmp_path / clip.audio).is_file() for clip in clips)


def test_the_index_knows_without_decoding_what_headers_tell(damaged, tmp_path):
    rows = index(damaged.recordings, tmp_path, workers=2)
    problems = {Path(row.file): row.problem for row in rows if row.problem}
    assert set(problems) <= set(damaged.reasons)
    for path, reason in damaged.reasons.items():
        if not path.name.startswith(BY_DECODING):
            assert re.search(reason, problems[path]), (path.name, problems[path])
