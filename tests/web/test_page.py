"""The page around its networks: bad pictures, cancelling, what runs and why, and that nothing leaves the machine."""

import io
import re
import shutil
import zlib

import numpy as np
import pytest
from PIL import Image
from skimage import data

from .conftest import GPU, PAGE, Page, png

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


def test_it_asks_its_own_host_alone(page, address):
    page.give(GOOD)
    page.choose("wmf-fast")
    page.run()
    assert any(url.endswith(".wasm") for url in page.asked)
    assert all(url.startswith((address, f"blob:{address}")) for url in page.asked), page.asked


FETCH = "address => fetch(address, {mode: 'no-cors'}).then(() => 'sent', () => 'refused')"


def test_the_policy_holds_in_the_page_and_in_its_worker(browser, built, served):
    """On a host that sends no headers; another origin of this machine stands for the internet."""
    page, elsewhere = Page(browser, served(built, {})), served(built, {"Access-Control-Allow-Origin": "*"})
    (worker,) = page.page.workers
    for place in (page.page, worker):
        assert place.evaluate(FETCH, "models/l0.onnx" if place is page.page else page.page.url) == "sent"
        assert place.evaluate(FETCH, elsewhere) == "refused"
    assert not [url for url in page.asked if url.startswith(elsewhere)]


def test_the_page_names_no_other_host():
    for file in PAGE.iterdir():
        for found in re.findall(r"https?://[^\s\"'<>]+", file.read_text("utf-8")):
            assert found == "http://www.w3.org/2000/svg", (file, found)
    text = (PAGE / "index.html").read_text("utf-8")
    policy = " ".join(re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1).split())
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'" and allowed["connect-src"] == "'self'"
    assert set(policy.split()) & {"*", "https:", "http:", "data:", "'unsafe-inline'", "'unsafe-eval'"} == set()


def test_hosts_without_headers_get_one_thread_and_are_told(browser, built, served):
    page = Page(browser, served(built, {}))
    assert "WASM, 1 thread" in page.text("place") and "One thread, since" in page.text("fallback")
    page.give(GOOD)
    page.choose("wmf-fast")
    assert "wmf-fast: 1 tile in" in page.run()


def test_isolated_pages_have_threads(page):
    assert page.page.evaluate("crossOriginIsolated")
    assert f"WASM, {min(8, page.page.evaluate('navigator.hardwareConcurrency'))} thread" in page.text("place")


def test_falling_back_is_said_aloud(page):
    page.page.select_option("#backend", "webgpu")
    page.page.wait_for_selector("#fallback:visible")
    assert re.match("Not on WebGPU: .*It runs on WASM", page.text("fallback"))
    assert page.page.get_attribute("#fallback", "role") == "status"
    page.page.select_option("#backend", "auto")


FAKE = """
const session = (name) => ({release: async () => {}, run: async ({image}) => {
    FAULT
    return {smooth: {dims: image.dims, data: image.data.map((v) => (name === "webgpu" ? WEBGPU : 1 - v))}}; }});
export default {env: {wasm: {}, versions: {}}, 
    Tensor: class { constructor(kind, data, dims) { Object.assign(this, {data, dims}); } },
    InferenceSession: {create: async (bytes, {executionProviders: [name]}) => session(name)}};
"""


@pytest.mark.parametrize(("values", "fault", "wanted"), [
    ("1 - v", "", None),
    ("1 - v + 0.01", "", "differ from WASM's by 2."),
    ("NaN", "", "differ from WASM's by"),
    ("1 - v", "if (name === 'webgpu') throw new Error('device lost');", "device lost"),
])  # fmt: skip
def test_webgpu_is_believed_only_after_a_trial(chromium, built, served, tmp_path, values, fault, wanted):
    """A stand-in for the library, on a stand-in for a graphics card."""
    shutil.copytree(built, tmp_path / "web")
    fake = FAKE.replace("WEBGPU", values).replace("FAULT", fault)
    (tmp_path / "web" / "ort" / "ort.webgpu.bundle.min.mjs").write_text(fake)
    browser = chromium(*GPU)
    page = Page(browser, served(tmp_path / "web"))
    page.page.select_option("#backend", "webgpu")
    page.page.wait_for_selector("#place:has-text('WebGPU')")
    page.give(GOOD)
    page.choose("wmf-fast")
    page.run()
    assert ("WebGPU" in page.text("place")) == (wanted is None)
    assert page.page.is_visible("#fallback") == (wanted is not None)
    assert wanted is None or re.search(f"Not on WebGPU: .*{re.escape(wanted)}", page.text("fallback"))
    np.testing.assert_array_equal(page.saved(), 255 - np.asarray(Image.open(io.BytesIO(GOOD))))
    browser.close()


@pytest.mark.parametrize("loss", ["models/wmf-fast.onnx", "ort/ort.wasm.bundle.min.mjs", "torn"])
def test_missing_files_of_the_page_get_one_line(browser, built, served, tmp_path, loss):
    shutil.copytree(built, tmp_path / "web")
    if loss == "torn":
        model = tmp_path / "web" / "models" / "wmf-fast.onnx"
        model.write_bytes(model.read_bytes()[:-100])
    else:
        (tmp_path / "web" / loss).unlink()
    page = Page(browser, served(tmp_path / "web"))
    page.give(GOOD)
    page.page.check("#models input[value=wmf-fast]", force=True)
    said = page.run()
    assert re.search("cannot be loaded|truncated", said) and "make web" in said and "\n" not in said
