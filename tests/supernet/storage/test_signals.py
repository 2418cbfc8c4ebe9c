"""Signals: raised again where a library swallowed them, and never amid what must be whole."""

import signal
from contextlib import suppress

import pytest

from supernet.media.sound import Sound
from supernet.storage import signals
from supernet.storage.files import replacing
from tests.supernet.media.making import put, speech, wav


@pytest.fixture(autouse=True)
def handlers():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = [signal.getsignal(number) for number in numbers]
    for number in numbers:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signals.raise_signals()
    yield
    signals.raise_signals()  # forgets what was asked
    for number, handler in zip(numbers, former, strict=True):
        signal.signal(number, handler)


def test_a_signal_that_was_swallowed_is_raised_by_who_reads_next(tmp_path):
    sound = Sound.open(put(tmp_path / "a.wav", wav(speech(1))))
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        list(sound.blocks(16_000))


def test_a_signal_waits_for_the_end_of_what_must_be_whole():
    done = []
    with pytest.raises(signals.Terminated) as raised, signals.unbroken():
        with signals.unbroken():
            signal.raise_signal(signal.SIGTERM)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"] and raised.value.number == signal.SIGTERM


def test_a_signal_at_the_start_of_a_file_leaves_none(tmp_path, monkeypatch):
    monkeypatch.setattr("supernet.storage.files._hold", lambda *_: signal.raise_signal(signal.SIGHUP))
    with pytest.raises(signals.Terminated), replacing(tmp_path / "a.wav"):
        pytest.fail("begun")
    assert not list(tmp_path.iterdir())


def test_a_signal_that_others_handle_is_left_to_them():
    heard = []
    signal.signal(signal.SIGHUP, lambda *_: heard.append(1))
    signals.raise_signals()
    signal.raise_signal(signal.SIGHUP)
    assert heard == [1]
