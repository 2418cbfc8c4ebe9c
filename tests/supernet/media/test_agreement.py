"""`data index`, `data prepare` and `enhance` judge a file alike, for one reader reads it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from supernet.data.recordings import preparing
from supernet.data.recordings.indexing import probe
from supernet.data.recordings.readers import Recording, draft
from supernet.data.settings import DataSettings
from supernet.deploy.enhance import Wanted, enhance_file
from supernet.errors import UserError
from tests.supernet.deploy.test_enhance import Recorder
from tests.supernet.media.making import encoded, put, scrambled, speech, wav
from tests.supernet.media.test_sound import headers, made

CASES = Path(os.environ.get("OFA_AVSE_CASES", Path(__file__).parents[4] / "shared" / "cases"))
OWN = {
    "plain.wav": wav(speech(2)),
    "cut.wav": made("wav")[:64_000],
    "cut.mp3": made("mp3")[:15_000],
    "cut.flac": made("flac")[:90_000],
    "damaged.m4a": scrambled(made("m4a"), 0.5, 400),
    "damaged.webm": scrambled(made("webm"), 0.5, 400),
    "joined.ogg": made("ogg") * 2,
    "webm.wav": made("webm"),
    "zero.wav": headers(riff=0, data=0),
    "rate.wav": headers(rate=10),
    "endless.wav": headers(riff=2**32 - 1, data=2**32 - 1),
    "empty.wav": b"",
    "text.wav": b"no sound\n" * 99,
    "nan.wav": wav(np.full(16_000, np.nan, np.float32), subtype="FLOAT"),
    "nothing.wav": wav(np.zeros(0, np.float32)),
    "sixteen.wav": wav(32768 * speech(1), subtype="FLOAT"),
    "two.mka": encoded("matroska", "pcm_s16le", [0 * speech(2), speech(2)], 16_000),
}


def outcome(function, path: Path) -> tuple[float, str]:
    """Seconds of sound, or the reason why there are none."""
    try:
        return function(path), ""
    except UserError as error:
        return 0.0, str(error)


def compare(path: Path, folder: Path) -> None:
    def enhanced(source: Path) -> float:
        (written,) = enhance_file(Recorder(), source, folder / "out.wav", Wanted(no_lips=True))
        return soundfile.info(written).duration

    def prepared(source: Path) -> float:
        recording = Recording(draft("speech", "a", source, "anna"), source)
        return len(preparing._decode(recording, DataSettings())[0]) / 16_000

    seconds, refusal = outcome(enhanced, path)
    own, reason = outcome(prepared, path)
    _, by_headers = outcome(lambda source: probe(source, sound=True, pictures=False).seconds, path)
    if refusal:
        assert reason == refusal and by_headers in ("", refusal)
    elif reason:  # what is enhanced with a word is too little to learn from
        assert "breaks off" in reason and not by_headers
    else:
        assert own == pytest.approx(seconds, abs=1e-4) and not by_headers


@pytest.mark.parametrize("name", OWN)
def test_all_judge_alike(tmp_path, name):
    compare(put(tmp_path / name, OWN[name]), tmp_path)


@pytest.mark.skipif(not CASES.is_dir(), reason="the strange files of real kinds are not at hand: OFA_AVSE_CASES")
def test_all_judge_strange_files_alike(tmp_path):
    for path in sorted(CASES.iterdir()):
        if path.suffix not in (".py", ".md"):
            compare(path, tmp_path)
