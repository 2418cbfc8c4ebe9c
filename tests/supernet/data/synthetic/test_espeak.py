import time

import numpy as np
import pytest

from supernet.data.synthetic import espeak
from supernet.data.synthetic.espeak import Voice, speak
from supernet.data.synthetic.talkers import ACCENTS
from supernet.data.synthetic.visemes import viseme_track
from supernet.errors import UserError
from supernet.timing import SAMPLE_RATE

TEXT = "My father painted a big boat."


def test_speech_depends_on_nothing_spoken_before():
    voice = Voice("gmw/en-US+m3")
    first, first_phonemes = speak(TEXT, voice)
    speak("Something else, with another voice.", Voice("gmw/en+f4", pitch=70, rate=190))
    second, second_phonemes = speak(TEXT, voice)
    np.testing.assert_array_equal(first, second)
    assert first_phonemes == second_phonemes


def test_speech_does_not_depend_on_the_clock():
    breathy = Voice("gmw/en+f3")  # espeak seeds the noise of breath with the time in seconds
    first, _ = speak(TEXT, breathy)
    time.sleep(1.01)
    np.testing.assert_array_equal(first, speak(TEXT, breathy)[0])


def test_speech_is_16_khz_and_not_clipped():
    speech, _ = speak(TEXT, Voice("gmw/en+f2"))
    assert speech.dtype == np.float32 and speech.ndim == 1
    assert 1.0 < len(speech) / SAMPLE_RATE < 3.0
    assert 0.01 < np.abs(speech).max() < 0.9


def test_phoneme_times_are_in_order_and_inside_the_speech():
    speech, phonemes = speak(TEXT, Voice("gmw/en+f2"))
    starts = [start for start, _ in phonemes]
    assert starts == sorted(starts)
    assert 0 <= starts[0] and starts[-1] <= len(speech)
    spoken = "".join(symbols for _, symbols in phonemes)
    assert spoken.startswith("m") and spoken.rstrip().endswith("t")


def test_rate_and_pitch_change_the_speech():
    slow, _ = speak(TEXT, Voice("gmw/en+m3", rate=120))
    fast, _ = speak(TEXT, Voice("gmw/en+m3", rate=190))
    high, _ = speak(TEXT, Voice("gmw/en+m3", rate=190, pitch=80))
    assert len(slow) > 1.2 * len(fast)
    assert len(high) != len(fast) or not np.array_equal(high, fast)


@pytest.mark.parametrize("accent", ACCENTS)
def test_every_phoneme_of_an_accent_has_a_mouth_shape(accent):
    text = "Judge Roy's white measure of butter; poor bird, new player, loch, thing, fire, huge bottle, Oliver."
    speech, phonemes = speak(text, Voice(f"gmw/{accent}", rate=400))
    whole = len(speech) // 640 * 640
    assert np.isfinite(viseme_track(phonemes, speech[:whole])).all()


def test_an_unknown_voice_is_named():
    with pytest.raises(UserError, match="en-XX"):
        speak(TEXT, Voice("gmw/en-XX"))


def test_a_missing_library_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(espeak, "_paths", lambda: ("/nowhere/libespeak-ng.so", "/nowhere"))
    with pytest.raises(UserError, match="/nowhere/libespeak-ng.so.*reinstall espeakng-loader"):
        speak(TEXT, Voice("gmw/en"))
