"""A recording is heard at the level of training, and comes back at its own, in as many bits as that needs."""

import numpy as np
import pytest
import soundfile
import torch

from supernet.deploy.enhance import Wanted, enhance_file
from supernet.deploy.level import FALL, LOUD, QUIET, Level
from supernet.deploy.spectra import masked, signal, spectrogram
from tests.supernet.deploy.test_enhance import Recorder
from tests.supernet.media.making import put, speech, wav

WAVE = speech(4)
WAVE = WAVE * (0.05 / WAVE.std())


class Picky(Recorder):
    """Hears nothing that is faint, loud or offset."""

    def forward(self, mixture: torch.Tensor, lips: torch.Tensor | None) -> torch.Tensor:
        level, offset = mixture.std(), mixture.mean().abs()
        heard = 0.95 * QUIET < level < 1.05 * LOUD and offset < 0.06 * level
        return super().forward(mixture, lips) * float(heard)


@pytest.mark.parametrize(
    ("gain", "subtype", "written"),
    [
        (1, "PCM_16", "PCM_16"),
        (0.1, "PCM_16", "PCM_16"),
        (0.05, "PCM_16", "PCM_16"),
        (10 ** (-50 / 20), "PCM_24", "PCM_24"),
        (10 ** (-50 / 20), "FLOAT", "PCM_24"),
        (1e-5, "FLOAT", "FLOAT"),
        (4, "FLOAT", "PCM_16"),
        (40, "FLOAT", "FLOAT"),
    ],
)
def test_any_level_comes_back_at_its_own(tmp_path, gain, subtype, written, capsys):
    source = put(tmp_path / "a.wav", wav(gain * WAVE, subtype=subtype))
    (result,) = enhance_file(Picky(), source)
    heard, _ = soundfile.read(result)
    sent, _ = soundfile.read(source)
    assert soundfile.info(result).subtype == written
    step = {"PCM_16": 2**-15, "PCM_24": 2**-22, "FLOAT": 0}[written]
    assert np.abs(heard - 0.5 * sent).max() < 2e-4 * np.abs(sent).max() + step
    said = capsys.readouterr().err
    assert ("is too quiet for 16 bits" in said) == (gain < 0.01) and ("32-bit floats" in said) == (written == "FLOAT")


@pytest.mark.parametrize("offset", [-0.5, 0.02, 0.3])
def test_an_offset_is_taken_away(tmp_path, offset):
    source = put(tmp_path / "a.wav", wav(WAVE + offset, subtype="FLOAT"))
    heard, _ = soundfile.read(*enhance_file(Picky(), source))
    apart = heard - 0.5 * (WAVE - WAVE.mean())
    assert apart.std() < 1e-4 and abs(apart.mean()) < 0.5 * 0.06 * WAVE.std()


def test_what_would_go_a_little_beyond_full_scale_is_written_lower(tmp_path, capsys):
    loud = 0.95 * WAVE / np.abs(WAVE).max()
    network = Recorder()
    network.gain.data *= 2.4
    heard, _ = soundfile.read(*enhance_file(network, put(tmp_path / "a.wav", wav(loud))))
    assert 0.99 < np.abs(heard).max() <= 1 and np.corrcoef(heard, loud)[0, 1] > 0.99999
    assert "would go beyond full scale, and is written" in capsys.readouterr().err


def test_an_ordinary_level_is_left_alone_and_pauses_stay_quiet():
    level = Level()
    assert level(WAVE[:, None]).factor == 1 and level(WAVE[:, None]).offset == 0
    assert level(1e-3 * WAVE[:, None]).factor == pytest.approx(max(1, QUIET / (FALL * WAVE.std())), rel=0.01)
    assert level(np.zeros((0, 1), np.float32)).factor >= 1
    factors = [Level()(10 ** (db / 20) * WAVE[:, None]).factor for db in range(-80, 30)]
    assert (np.diff(factors) <= 1e-9).all()  # the louder, the less


def test_two_channels_keep_their_places(tmp_path, capsys):
    left, right = WAVE, 0.3 * np.roll(WAVE, 5)
    source = put(tmp_path / "a.wav", wav(np.stack([left, right], 1), 16_000))
    (result,) = enhance_file(Recorder(), source, wanted=Wanted(channels="keep"))
    heard, _ = soundfile.read(result)
    assert np.abs(heard - 0.5 * np.stack([left, right], 1)).max() < 1e-3
    assert "mean of" not in capsys.readouterr().err


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_the_rate_of_the_source_may_be_kept(tmp_path, rate):
    wave = speech(2, rate)
    (result,) = enhance_file(Recorder(), put(tmp_path / "a.wav", wav(wave, rate)), wanted=Wanted(rate="source"))
    heard, written = soundfile.read(result)
    assert written == rate and len(heard) == len(wave)
    assert np.corrcoef(heard, wave)[0, 1] > 0.98


@pytest.mark.parametrize("strength", [0, 0.25, 1])
def test_some_of_the_noisy_sound_may_stay(tmp_path, strength):
    source = put(tmp_path / "a.wav", wav(WAVE))
    heard, _ = soundfile.read(*enhance_file(Recorder(), source, wanted=Wanted(strength=strength)))
    assert np.abs(heard - (1 - 0.5 * strength) * WAVE).max() < 1e-4


def test_what_was_taken_from_one_channel_is_taken_from_another():
    rng = np.random.default_rng(0)
    noisy, other = rng.standard_normal((2, 20_001)).astype(np.float32)
    assert np.abs(signal(spectrogram(noisy), len(noisy)) - noisy).max() < 1e-6
    assert np.abs(masked(noisy, 0.3 * noisy, other) - 0.3 * other).max() < 1e-3
    assert np.abs(masked(noisy, np.zeros_like(noisy), other)).max() == 0
    assert np.isfinite(masked(np.zeros_like(noisy), noisy, other)).all()
