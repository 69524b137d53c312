"""The page around its networks: bad pictures, cancelling, what is offered and told, keyboard, names and widths."""

import io
import re
import zlib

import numpy as np
import pytest
from PIL import Image
from skimage import data

from .conftest import Page, png

GOOD = png(data.chelsea()[60:100, 80:131])


def jpeg(**settings):
    file = io.BytesIO()
    Image.fromarray(data.chelsea()).save(file, "jpeg", **settings)
    return file.getvalue()


def webp():
    file = io.BytesIO()
    Image.fromarray(data.chelsea()).save(file, "webp", lossless=True)
    return file.getvalue()


def huge():
    """A PNG of few bytes and 100 million pixels."""
    file = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(file, "png")
    return file.getvalue()


def with_wrong_values():
    """A PNG whose packed values are no such thing, in chunks without a fault."""
    begin = GOOD.index(b"IDAT")
    length = int.from_bytes(GOOD[begin - 4 : begin], "big")
    named = b"IDAT" + bytes(length)
    return GOOD[:begin] + named + zlib.crc32(named).to_bytes(4, "big") + GOOD[begin + 8 + length :]


BAD = {
    "text": (b"no picture at all\n", "expected a picture"),
    "empty": (b"", "expected a picture"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="50" height="50"/>', "expected a picture"),
    "torn PNG": (png(data.chelsea())[:-30_000], "cut off"),
    "half a PNG's header": (GOOD[:20], "expected a picture"),
    "changed PNG": (GOOD[:400] + bytes(9) + GOOD[409:], "damaged"),
    "PNG of wrong values": (with_wrong_values(), "damaged"),
    "torn JPEG": (jpeg()[:-9_000], "cut off"),
    "torn progressive JPEG": (jpeg(progressive=True)[:-9_000], "cut off"),
    "torn WebP": (webp()[:-9_000], "cut off|damaged"),
    "huge": (huge(), "at most 50 million pixels, got 10000x10000"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_pictures_get_one_line(page, kind):
    data, wanted = BAD[kind]
    page.give(GOOD)
    page.give(data, "bad.png")
    said = page.text("error")
    assert re.search(wanted, said) and "\n" not in said and len(said) < 250, said
    assert page.page.is_disabled("#run") and page.page.is_disabled("#save")
    assert page.page.is_visible("#drop")
    page.give(GOOD)  # and the next one is taken
    assert not page.text("error") and page.page.is_enabled("#run")


@pytest.mark.parametrize(("side", "model", "wanted"), [(15, "wmf-fast", "at least 16"), (5, "enlarge3", "at least 6")])
def test_pictures_that_are_too_small(page, side, model, wanted):
    page.give(png(data.chelsea()[:side, :40]))
    page.choose(model)
    assert wanted in page.run()
    assert page.page.is_disabled("#save")


def test_results_that_are_too_large(page):
    file = io.BytesIO()
    Image.new("L", (5000, 1200)).save(file, "png")
    page.give(file.getvalue())
    page.choose("enlarge3")
    assert "at most 50 million pixels, got 5000x1200, 15000x3600 when enlarged" in page.run()


@pytest.mark.parametrize(("mode", "wanted"), [("I;16", "16 bits"), ("gif", "first frame")])
def test_what_is_not_kept_is_told(page, mode, wanted):
    file = io.BytesIO()
    if mode == "gif":
        Image.new("L", (20, 20)).save(file, "gif", save_all=True, append_images=[Image.new("L", (20, 20), 99)])
    else:
        Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(file, "png")
    page.give(file.getvalue())
    assert wanted in page.text("facts")


def test_cancelling_ends_a_run_and_the_next_one_works(page):
    page.give(png(data.astronaut()))
    page.choose("l0")
    page.page.click("#run")
    page.page.click("#cancel")
    page.page.wait_for_selector("#controls:not([data-busy])")
    assert page.text("status") == "Cancelled." and not page.text("error")
    assert page.page.is_disabled("#save")
    page.give(GOOD)
    page.choose("wmf-fast")
    assert "wmf-fast: 1 tile in" in page.run()


def test_strength_is_there_where_the_card_has_one(page):
    for model, name in {"l0": "λ", "wmf": None, "denoise": "σ", "enlarge2": None}.items():
        page.choose(model)
        assert page.page.is_visible("#strength") == bool(name)
        assert page.page.is_visible("#auto") == (model == "denoise")
        assert page.page.is_visible("#mix")
        assert name is None or page.text("strengthName").startswith(name)


def test_everything_that_takes_input_has_a_name_and_the_keyboard(page):
    page.give(GOOD)
    page.choose("wmf-fast")
    page.run()
    bare = """inputs => inputs.filter((one) => !one.labels?.length && !one.getAttribute("aria-label"))
        .map((one) => one.id)"""
    assert page.page.eval_on_selector_all("input, select, progress", bare) == []
    page.page.focus("#compare")
    page.page.keyboard.press("ArrowRight")
    assert page.page.eval_on_selector("#pictures", "(one) => one.style.getPropertyValue('--cut')") == "51%"
    page.page.focus("#models input:checked")
    page.page.keyboard.press("ArrowRight")
    page.page.wait_for_selector("#controls[data-card=sd]")
    assert (
        page.page.get_attribute("#error", "role") == "alert" and page.page.get_attribute("#status", "role") == "status"
    )


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(browser, address, width):
    page = Page(browser, address)
    page.page.set_viewport_size({"width": width, "height": 800})
    page.give(png(data.astronaut()), "a_rather_long_name_" * 5 + ".png")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_last_of_several_pictures_counts(page):
    for name, pixels in {"first.png": data.astronaut(), "last.png": data.chelsea()[:40, :50]}.items():
        page.page.set_input_files("#file", [{"name": name, "mimeType": "", "buffer": png(pixels)}])
    page.page.wait_for_selector("#run:not([disabled])")
    assert page.text("facts").startswith("last.png, 50 × 40")
