"""How much noise a picture has, and a denoiser that is told nothing."""

import numpy as np
import pytest
import skimage.data

from pnen_runtime import strength as strengths
from pnen_runtime.alpha import without_hidden
from pnen_runtime.card import Card
from pnen_runtime.errors import UsageError
from pnen_runtime.noise import estimate_sigma
from pnen_runtime.strength import wanted_strength

DENOISER = Card(
    network="pnen",
    task={"noise": 25, "colour": True, "strengths": [0, 50]},
    strength={"least": 0, "most": 50, "default": 25, "unit": "σ of the noise in 8-bit levels", "scale": "linear"},
)
FILTER = Card(
    network="pnen",
    task={"filter": "l0", "strength": 0.02},
    strength={"least": 0.002, "most": 0.2, "default": 0.02, "unit": "λ", "scale": "log"},
)


def photo(name):
    return getattr(skimage.data, name)()


def noisy(picture, sigma):
    added = np.random.default_rng(1).normal(0, sigma, picture.shape)
    return np.clip(np.rint(picture + added), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
@pytest.mark.parametrize("sigma", [10, 25, 50])
def test_sigma_of_a_noisy_photograph_is_found(name, sigma):
    assert estimate_sigma(noisy(photo(name), sigma)) == pytest.approx(sigma, rel=0.12, abs=1)


def test_flat_colour_and_clean_photographs_have_little():
    assert estimate_sigma(np.full((64, 64, 3), 128, np.uint8)) < 1e-9
    assert estimate_sigma(photo("coffee")) < 7
    assert estimate_sigma(noisy(np.full((64, 64, 3), 128), 20)) == pytest.approx(20, rel=0.1)


def test_black_and_white_parts_do_not_hide_it():
    flat = np.full((256, 256, 1), 128)
    flat[:, :96], flat[:, -96:] = 0, 255
    assert estimate_sigma(noisy(flat, 30)) == pytest.approx(30, rel=0.1)


def test_types_and_sizes_make_no_difference():
    eight = noisy(photo("chelsea"), 25)[:80, :80]
    expected = estimate_sigma(eight)
    assert estimate_sigma(eight.astype(np.uint16) * 257) == pytest.approx(expected, rel=1e-4)
    assert estimate_sigma(eight.astype(np.float32) / 255) == pytest.approx(expected, rel=1e-4)
    assert estimate_sigma(eight[:16, :16]) == pytest.approx(25, rel=0.4)
    large = noisy(np.full((1500, 1700, 1), 100), 12)
    assert estimate_sigma(large) == pytest.approx(12, rel=0.05)


SHOWN = {
    "a disk": lambda y, x: (y - 60) ** 2 + (x - 190) ** 2 < 400,
    "a band": lambda y, x: (y > 99) & (y < 116) | (x < 0),
    "a frame": lambda y, x: (abs(y - 128) > 116) | (abs(x - 128) > 116),
    "strokes": lambda y, x: (x % 32 < 4) & (y > 0),
    "sprites": lambda y, x: (x % 64 < 24) & (y % 64 < 24),
}


@pytest.mark.parametrize("shape", SHOWN)
def test_of_little_that_is_shown_it_is_the_noise_of_that(shape):
    shown = np.broadcast_to(SHOWN[shape](*np.ogrid[:256, :256]), (256, 256))
    picture = noisy(skimage.data.coffee()[:256, :256], 20)
    filled = without_hidden(picture, shown)
    assert estimate_sigma(filled, shown) == pytest.approx(20, rel=0.25)
    assert estimate_sigma(np.where(shown[..., None], picture, 0), shown) == estimate_sigma(filled, shown)


def test_where_no_details_are_shown_what_is_filled_in_counts():
    picture, shown = noisy(np.full((64, 64, 3), 128), 20), np.indices((64, 64))[1] % 9 == 0
    assert estimate_sigma(picture, shown) == estimate_sigma(without_hidden(picture, shown))
    assert estimate_sigma(picture, np.ones((64, 64), bool)) == estimate_sigma(picture)


@pytest.mark.parametrize("asked", [None, "auto"])
def test_a_denoiser_that_is_told_nothing_looks_at_the_picture(asked, caplog):
    caplog.set_level("INFO", "pnen")
    frames = [(noisy(np.full((64, 64, 3), 128), sigma), None) for sigma in (10, 20, 20)]
    assert wanted_strength(DENOISER, asked, 64, 64, frames) == pytest.approx(20, rel=0.1)
    assert "estimated" in caplog.text
    assert wanted_strength(DENOISER, 7, 64, 64, frames) == 7


def test_more_noise_than_the_model_knows_is_told(caplog):
    frame = np.random.default_rng(0).integers(0, 2, (64, 64, 1)).astype(np.float32)
    assert wanted_strength(DENOISER, "auto", 64, 64, [(frame * 0.8 + 0.1, None)]) == 50
    assert caplog.records[0].levelname == "WARNING" and "limit" in caplog.text


def test_auto_is_for_denoisers_and_for_pictures_on_the_host():
    frames = [(np.zeros((16, 16, 3), np.uint8), None)]
    with pytest.raises(UsageError, match='"auto" is for denoisers'):
        wanted_strength(FILTER, "auto", 16, 16, frames)
    assert wanted_strength(FILTER, None, 16, 16, frames) == 0.02
    assert not strengths.estimates(FILTER, None) and strengths.estimates(DENOISER, None)
    with pytest.raises(UsageError, match="CUDA array"):
        wanted_strength(DENOISER, None, 16, 16, [(object(), None)])


@pytest.mark.parametrize("sigma", [15, 25, 50])
@pytest.mark.parametrize("value", [0, 30, 128, 240])
def test_a_strip_without_noise_hides_none(sigma, value):
    clean = skimage.data.coffee()[::2, ::2]
    noisy = np.clip(np.rint(clean + np.random.default_rng(0).normal(0, sigma, clean.shape)), 0, 255).astype(np.uint8)
    strip = np.full((40, *clean.shape[1:]), value, np.uint8)
    without, with_strip = estimate_sigma(noisy), estimate_sigma(np.vstack([noisy, strip]))
    assert abs(with_strip - without) < 0.15 * sigma
    assert estimate_sigma(np.vstack([strip, strip])) < 1e-3
