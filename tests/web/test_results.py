"""What the page saves is what the Python runtime gives, within one level: every model, kind of picture and setting."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from pnen_runtime import Smoother, Upscaler
from pnen_runtime.models import BUNDLED, bundled_models
from pnen_runtime.noise import estimate_sigma
from pnen_runtime.onnx_card import read_onnx_card

from .conftest import differ, png


def with_alpha(seed=0):
    """A cup, round with a soft edge, 61x75 pixels; colours under hidden pixels are anything."""
    colours = data.coffee()[100:344:4, 200:500:4]
    far = np.hypot(*np.meshgrid(np.linspace(-1, 1, 75), np.linspace(-1, 1, 61)))
    alpha = np.clip(255 * (1.1 - far) / 0.3, 0, 255).astype(np.uint8)
    hidden = alpha == 0
    colours = np.where(hidden[..., None], np.random.default_rng(seed).integers(0, 256, colours.shape), colours)
    return np.dstack([colours, alpha]).astype(np.uint8)


PICTURES = {
    "odd": data.chelsea()[60:157, 80:211],
    "alpha": with_alpha(),
    "two tiles": np.concatenate([data.astronaut()[100:148], data.astronaut()[240:288]], axis=1)[:, :880],
}


@pytest.fixture(scope="module")
def smoother():
    with Smoother("l0-fast", threads=1) as smoother:
        yield smoother


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("place", [100, 170])  # of 200: λ 0.02 and 0.1
def test_l0_at_two_strengths(page, smoother, name, place):
    page.give(png(PICTURES[name]))
    page.choose("l0-fast")
    strength = float(page.slide("strength", place))
    tiles = 2 if name == "two tiles" else 1
    assert f"l0-fast at λ {strength:g}: {tiles} tile" in page.run()
    wanted = smoother.run(PICTURES[name], strength=strength)
    assert differ(wanted, PICTURES[name]) > 20
    assert differ(page.saved(), wanted) <= 1
    if name == "alpha":
        hidden = PICTURES[name][..., 3] == 0
        np.testing.assert_array_equal(page.saved()[hidden], PICTURES[name][hidden])


SMALL = data.astronaut()[90:130, 200:251]


@pytest.mark.parametrize("model", [name for name in bundled_models() if "enlarge" not in name])
def test_every_smoother(page, model):
    page.give(png(SMALL))
    page.choose(model)
    strength = read_onnx_card(BUNDLED / f"{model}.onnx").strength.get("default")
    if model == "denoise":
        page.page.uncheck("#auto")
        assert float(page.slide("strength", 100)) == strength
    told = page.run()
    assert ("at" in told) == bool(strength), told
    with Smoother(model, threads=1) as smoother:
        assert differ(page.saved(), smoother.run(SMALL, strength=strength)) <= 1


@pytest.mark.parametrize("name", ["odd", "alpha", "grey"])
@pytest.mark.parametrize("model", ["enlarge2", "enlarge3"])
def test_enlargers(page, name, model):
    picture = data.camera()[100:141, 200:233] if name == "grey" else PICTURES[name][10:41, 20:63]
    page.give(png(picture))
    page.choose(model)
    page.run()
    with Upscaler(model, threads=1) as upscaler:
        wanted = upscaler.run(picture)
    assert differ(page.saved(), wanted) <= 1
    assert page.page.eval_on_selector("#before", "({width, height}) => [height, width]") == list(wanted.shape[:2])
    page.slide("mix", 0)
    with Upscaler(model, threads=1) as upscaler:
        assert differ(page.saved(), upscaler.run(picture, mix=0)) <= 1
    page.slide("mix", 100)


@pytest.mark.parametrize("kind", ["colour", "grey"])
def test_denoise_estimates_sigma(page, kind):
    clean = data.chelsea()[60:130, 80:180] if kind == "colour" else data.camera()[200:260, 100:200]
    noise = np.random.default_rng(1).normal(0, 20, clean.shape)
    picture = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    page.give(png(picture))
    page.choose("denoise")
    page.page.check("#auto")
    sigma = estimate_sigma(picture.reshape(*picture.shape[:2], -1))
    assert f"denoise at σ {sigma:.3g} (estimated)" in page.run()
    with Smoother("denoise", threads=1) as smoother:
        assert differ(page.saved(), smoother.run(picture)) <= 1


def test_grey_stays_grey(page, smoother):
    picture = data.camera()[200:245, 100:177]
    page.give(png(picture))
    page.choose("l0-fast")
    page.run()
    assert differ(page.saved(), smoother.run(picture)) <= 1


def test_mix_follows_without_another_run(page, smoother):
    page.give(png(PICTURES["alpha"]))
    page.choose("l0-fast")
    page.run()
    for percent in (35, 0, 100):
        assert page.slide("mix", percent) == f"{percent} %"
        assert differ(page.saved(), smoother.run(PICTURES["alpha"], mix=percent / 100)) <= 1


def test_hidden_colours_reach_nothing(page):
    results = []
    for seed in (0, 1):
        picture = with_alpha(seed)
        hidden = picture[..., 3] == 0
        for model in ("l0-fast", "denoise", "enlarge2"):
            page.give(png(picture))
            page.choose(model)
            told = page.run().split(":")[0]  # with the σ that is estimated
            result = page.saved()
            shown = hidden if model != "enlarge2" else hidden.repeat(2, 0).repeat(2, 1)
            near = result[~shown] if model != "enlarge2" else result
            results.append((told, near.tobytes()))
    assert results[:3] == results[3:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(page, smoother, orientation):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(SMALL[:24, :40]).save(file, "png", exif=exif)
    page.give(file.getvalue())
    page.choose("l0-fast")
    page.run()
    assert differ(page.saved(), np.asarray(smoother.run(file.getvalue()))) <= 1


def test_jpegs_are_read(page, smoother):
    file = io.BytesIO()
    Image.fromarray(SMALL).save(file, "jpeg", quality=90)
    page.give(file.getvalue(), "a.jpg")
    page.choose("l0-fast")
    page.run()
    wanted = np.asarray(smoother.run(file.getvalue())).astype(int)
    assert np.abs(page.saved() - wanted).mean() < 1  # two decoders may round colours another way
