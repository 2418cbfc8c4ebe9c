"""Generated noise is reproducible, loud enough to scale, and of the kind that its name says."""

import numpy as np
import pytest

from supernet.data.mixing.noise import GENERATED, coloured, impulsive


@pytest.mark.parametrize("kind", GENERATED)
def test_noise_is_a_pure_function_of_its_generator(kind):
    once, again, other = (GENERATED[kind](np.random.default_rng(seed), 20_480) for seed in (1, 1, 2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


@pytest.mark.parametrize("kind", GENERATED)
@pytest.mark.parametrize("samples", [640, 20_480, 31_999])
def test_noise_has_unit_rms_and_the_length_asked_for(kind, samples):
    for seed in range(20):
        noise = GENERATED[kind](np.random.default_rng(seed), samples)
        assert noise.shape == (samples,) and noise.dtype == np.float32
        assert np.sqrt(np.mean(noise**2)) == pytest.approx(1, abs=1e-3)


def test_impulsive_noise_is_peakier_than_coloured_noise():
    def crest(make):
        return np.median([np.abs(make(np.random.default_rng(seed), 20_480)).max() for seed in range(30)])

    assert crest(impulsive) > 2 * crest(coloured)
