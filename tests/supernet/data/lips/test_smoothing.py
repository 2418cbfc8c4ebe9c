"""Smoothing, as SciPy does it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d, median_filter

from supernet.data.lips.smoothing import gaussian, median


@pytest.mark.parametrize("mode, edge", [("reflect", "symmetric"), ("nearest", "edge")])
@pytest.mark.parametrize("frames", [1, 2, 3, 7, 100])
def test_it_is_scipys(frames, mode, edge):
    values = np.random.default_rng(0).standard_normal((frames, 3))
    for deviation in (1.0, 1.5, 2.5):
        theirs = gaussian_filter1d(values, deviation, axis=0, mode=mode)
        np.testing.assert_allclose(gaussian(values, deviation, edge), theirs, atol=1e-13)
    for size in (3, 5):
        assert (median(values[:, 0], size, edge) == median_filter(values[:, 0], size, mode=mode)).all()
