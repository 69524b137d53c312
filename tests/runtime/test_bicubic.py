"""Bicubic resizing against Pillow, against MATLAB's weights and against what the kernel must do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pnen_runtime.bicubic import enlarge, keys_kernel, resize, weights


@given(
    height=st.integers(30, 60),
    width=st.integers(30, 60),
    ratio=st.sampled_from([1 / 3, 0.5, 2, 3, 4]),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_the_interior_is_that_of_pillow_in_floats(height, width, ratio, seed):
    height, width = height // 6 * 6, width // 6 * 6
    image = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    size = round(height * ratio), round(width * ratio)
    oracle = np.asarray(Image.fromarray(image, "F").resize(size[::-1], Image.Resampling.BICUBIC))
    inner = (slice(*((reach := int(np.ceil(2 * max(ratio, 1)))), -reach)),) * 2  # where no weight meets the border
    np.testing.assert_allclose(resize(image[..., None], *size)[..., 0][inner], oracle[inner], atol=2e-6)


@pytest.mark.parametrize(
    ("length", "wanted", "row", "known"),
    [
        (8, 16, 5, [-0.0703125, 0.8671875, 0.2265625, -0.0234375]),
        (16, 8, 4, 3 / 256 * np.array([-1, -3, 29 / 3, 37, 37, 29 / 3, -3, -1])),
        (9, 27, 13, [1.0]),
    ],
)  # fmt: skip
def test_weights_are_those_of_imresize(length, wanted, row, known):
    _, found = weights(length, wanted)
    np.testing.assert_allclose([w for w in found[row] if abs(w) > 1e-12], known, atol=1e-12)


@given(length=st.integers(1, 50), wanted=st.integers(1, 150))
def test_weights_add_up_to_one_and_their_places_are_in_the_picture(length, wanted):
    places, factors = weights(length, wanted)
    np.testing.assert_allclose(factors.sum(axis=1), 1, atol=1e-12)
    assert places.min() >= 0 and places.max() < length
    np.testing.assert_allclose(resize(np.full((length, length, 2), 0.3), wanted, wanted), 0.3, atol=1e-12)


@given(scale=st.integers(2, 4), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_beyond_the_border_the_picture_is_mirrored_with_its_last_row(scale, seed):
    image = np.random.default_rng(seed).random((12, 12, 1))
    mirrored = np.pad(image, ((12, 12), (12, 12), (0, 0)), "symmetric")
    inner = slice(12 * scale, 24 * scale)
    np.testing.assert_allclose(enlarge(image, scale), enlarge(mirrored, scale)[inner, inner], atol=1e-12)
    np.testing.assert_allclose(resize(image, 4, 4), resize(mirrored, 12, 12)[4:8, 4:8], atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_quadratic_surface_is_enlarged_without_error(scale):
    def surface(length):
        at = (np.arange(length) + 0.5) / length
        return (0.2 + 0.5 * at[:, None] ** 2 - 0.3 * at[None] * at[:, None] + 0.1 * at[None])[..., None]

    inner = slice(2 * scale, -2 * scale)
    np.testing.assert_allclose(enlarge(surface(20), scale)[inner, inner], surface(20 * scale)[inner, inner], atol=1e-12)


def test_the_kernel_keeps_samples_and_is_smooth():
    np.testing.assert_array_equal(keys_kernel(np.array([-2, -1, 0, 1, 2, 3])), [0, 0, 1, 0, 0, 0])
    x = np.linspace(-2.5, 2.5, 5001)
    slope = np.gradient(keys_kernel(x), x)
    assert np.abs(np.diff(slope)).max() < 6e-3  # no jump of the derivative


def test_channels_and_axes_do_not_mix():
    image = np.random.default_rng(0).random((10, 14, 3))
    both = resize(image, 5, 28)
    for channel in range(3):
        np.testing.assert_array_equal(both[..., channel], resize(image[..., channel, None], 5, 28)[..., 0])
    np.testing.assert_allclose(both.swapaxes(0, 1), resize(image.swapaxes(0, 1), 28, 5), atol=1e-12)
