"""The weighted median: its definition written out, OpenCV, its limits, and what it commutes with."""

import math
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pnen_runtime.errors import BackendMissing, UsageError
from pnen_runtime.filters.weighted_median import wmf_smooth
from pnen_train.data.filters import filter_image, filter_values, resolve
from pnen_train.metrics import psnr
from pnen_train.parallel import in_parallel

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9).map(lambda shape: (*shape, 3))
IMAGES = arrays(np.uint8, SHAPES) | arrays(np.uint8, SHAPES, elements=st.integers(0, 1))  # the latter full of ties


def defined(image, radius, sigma):
    """The filter by its definition, one pixel and one level at a time, with sums as exact as floats can be."""
    values, result = image.astype(int), np.empty_like(image)
    for y, x in np.ndindex(image.shape[:2]):
        top, left = max(y - radius, 0), max(x - radius, 0)
        window = values[top : y + radius + 1, left : x + radius + 1].reshape(-1, image.shape[2])
        weights = [math.exp(-float(((q - values[y, x]) ** 2).sum()) / (2 * sigma**2)) for q in window]
        for c in range(image.shape[2]):
            result[y, x, c] = next(
                level
                for level in range(256)
                if 2 * math.fsum(w for w, q in zip(weights, window, strict=True) if q[c] <= level) >= math.fsum(weights)
            )
    return result


def wmf(image, radius=10, sigma=50.0, backend="exact"):
    return filter_image(image, "wmf", {"radius": radius, "sigma": sigma, "backend": backend})


@given(image=IMAGES, radius=st.integers(1, 12), sigma=st.sampled_from([0.3, 5.0, 50.0, 1e4]))
@settings(max_examples=25)
def test_it_is_what_its_definition_says(image, radius, sigma):
    np.testing.assert_array_equal(wmf(image, radius, sigma), defined(image, radius, sigma))


@pytest.mark.parametrize(("name", "sigma"), [("coffee", 50.0), ("astronaut", 20.0)])
def test_it_is_what_its_definition_says_on_photographs(photo, name, sigma):
    image = photo(name, 14, 17)
    np.testing.assert_array_equal(wmf(image, 4, sigma), defined(image, 4, sigma))
    assert (wmf(image, 4, sigma) != image).mean() > 0.3


@pytest.mark.parametrize("name", ["coffee", "astronaut", "chelsea"])
def test_it_equals_opencv_where_opencv_clusters_without_loss(photo, name):
    image = photo(name, 80, 100)
    for exact_there in (image[..., :1], image // 48 * 48):  # one channel; at most 256 colours of multiples of 4
        exact_there = np.ascontiguousarray(exact_there)
        ours, theirs = wmf(exact_there), wmf(exact_there, backend="opencv")
        np.testing.assert_array_equal(ours, theirs)
        assert np.abs(ours - exact_there.astype(float)).mean() > 0.5


@pytest.mark.parametrize("name", ["coffee", "astronaut", "chelsea"])
def test_on_photographs_opencv_comes_near_and_always_the_same(photo, name):
    image = photo(name, 120, 160)
    theirs = wmf(image, backend="opencv")
    assert 40 <= psnr(wmf(image), theirs) < math.inf
    for again in in_parallel(lambda _: wmf(image, backend="opencv"), range(4)):  # on threads too
        np.testing.assert_array_equal(again, theirs)


def test_a_wide_sigma_makes_it_a_plain_median(photo):
    image = photo("rocket", 60, 70)
    plain = cv2.medianBlur(image, 7)[3:-3, 3:-3]  # it treats borders in another way
    np.testing.assert_array_equal(wmf(image, 3, 1e9)[3:-3, 3:-3], plain)


@given(image=IMAGES, radius=st.integers(1, 12))
@settings(max_examples=25)
def test_a_narrow_sigma_changes_nothing(image, radius):
    np.testing.assert_array_equal(wmf(image, radius, 0.1), image)


TURNS = [lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.swapaxes(0, 1), lambda a: a[..., [2, 0, 1]],
         lambda a: a + np.uint8(20)]  # fmt: skip


@pytest.mark.parametrize("turn", TURNS, ids=["upside down", "mirrored", "transposed", "channels", "brighter"])
def test_turning_the_image_turns_the_result_and_no_bit_more(photo, turn):
    image = np.minimum(photo("coffee"), 235)
    np.testing.assert_array_equal(wmf(np.ascontiguousarray(turn(image)), 6), turn(wmf(image, 6)))


@given(image=IMAGES, radius=st.integers(1, 12), sigma=st.floats(0.01, 1e9))
@settings(max_examples=25)
def test_each_channel_keeps_to_the_levels_of_its_window(image, radius, sigma):
    result = wmf(image, radius, sigma)
    for y, x, c in np.ndindex(image.shape):
        assert result[y, x, c] in image[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1, c]


def test_values_come_in_256_levels():
    image = np.random.default_rng(0).random((6, 7, 3))
    result = filter_values(image, "wmf", {"radius": 2})
    np.testing.assert_allclose(result * 255, np.rint(result * 255), atol=1e-12)
    np.testing.assert_array_equal(result, wmf_smooth(np.rint(image * 255) / 255, 2))


def test_left_out_settings_are_the_benchmarks():
    assert resolve("wmf", {}) == {"radius": 10, "sigma": 50.0, "backend": "exact"}
    assert type(resolve("wmf", {"radius": 4.0})["radius"]) is int


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"radius": 0}, "expected a radius of 1 to 500 and sigma of 0.01 or more, got 0 and 50"),
        ({"radius": 501}, "got 501 and 50"),
        ({"sigma": 0}, "got 10 and 0"),
        ({"radius": 2.5}, "expected a whole number from 0 for radius of filter wmf, got 2.5"),
        ({"radius": True}, "expected a whole number"),
        ({"backend": "fast"}, "expected one of exact, opencv for backend of filter wmf, got 'fast'"),
        ({"backend": 1}, "expected one of exact, opencv"),
    ],
)
def test_wrong_settings_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        filter_image(np.zeros((4, 4, 3), np.uint8), "wmf", given)


@pytest.mark.parametrize("missing", ["cv2", "cv2.ximgproc"])
def test_without_opencv_its_backend_says_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(BackendMissing, match="install it with: pip install opencv-contrib-python-headless"):
        wmf(np.zeros((4, 4, 3), np.uint8), backend="opencv")
    assert wmf(np.zeros((4, 4, 3), np.uint8)).shape == (4, 4, 3)
