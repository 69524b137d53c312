"""What is hidden under clear pixels is filled from what is shown beside it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage import data

from pnen_runtime import Smoother, alpha


def mirrored_at_a_nearest(shown, y, x):
    """Places that a hidden pixel may take its value from."""
    rows, columns = np.nonzero(shown)
    away = abs(rows - y) + abs(columns - x)
    for row, column in zip(rows[away == away.min()], columns[away == away.min()], strict=True):
        down, across = 2 * row - y, 2 * column - x
        inside = 0 <= down < shown.shape[0] and 0 <= across < shown.shape[1]
        yield (down, across) if inside and shown[down, across] else (row, column)


@given(st.data(), st.integers(1, 9), st.integers(1, 9), st.integers(1, 30))
def test_hidden_pixels_are_mirrored_at_the_nearest_shown_one(draw, height, width, band):
    shown = draw.draw(arrays(bool, (height, width)))
    values = np.arange(height * width, dtype=np.uint8).reshape(height, width, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alpha, "BAND", band)
        filled = alpha.without_hidden(values, shown)
    np.testing.assert_array_equal(filled[shown], values[shown])
    for y, x in zip(*np.nonzero(~shown), strict=True) if shown.any() else ():
        assert filled[y, x] in [values[place] for place in mirrored_at_a_nearest(shown, y, x)]


@pytest.mark.parametrize("strength", [25, "auto"])
def test_an_island_loses_its_noise_as_it_does_without_clear_surroundings(strength):
    clean = data.coffee()[:80, :80].astype(float)  # dark, with a light corner
    noisy = np.clip(np.rint(clean + np.random.default_rng(0).normal(0, 25, clean.shape)), 0, 255).astype(np.uint8)
    island = np.zeros((150, 200, 4), np.uint8)
    island[35:115, 60:140] = np.dstack([noisy, np.full((80, 80), 255, np.uint8)])
    with Smoother("denoise") as denoise:
        alone, amid = denoise.run(noisy, strength=strength), denoise.run(island, strength=strength)[35:115, 60:140, :3]
    errors = [np.sqrt(((result - clean) ** 2).mean()) for result in (alone, amid, noisy)]
    assert errors[1] < 1.1 * errors[0] < 0.3 * errors[2]
