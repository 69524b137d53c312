"""Where the page comes from and what runs: nothing leaves the machine, threads, WebGPU and falling back from it."""

import io
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from skimage import data

from .conftest import GPU, PAGE, Page, differ, png

GOOD = png(data.chelsea()[60:100, 80:131])


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


def test_hosts_without_headers_get_one_thread_and_are_told(page):
    assert "WASM, 1 thread" in page.text("place") and "One thread, since" in page.text("fallback")


def test_hosts_with_headers_get_threads(browser, built, served):
    page = Page(browser, served(built))
    assert page.page.evaluate("crossOriginIsolated")
    assert f"WASM, {min(8, page.page.evaluate('navigator.hardwareConcurrency'))} thread" in page.text("place")
    assert "One thread" not in page.text("fallback")
    page.give(GOOD)
    page.choose("wmf-fast")
    assert "wmf-fast: 1 tile in" in page.run()


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


@pytest.fixture(scope="module")
def webgpu(chromium):
    """A browser with a stand-in for a graphics card."""
    browser = chromium(*GPU)
    yield browser
    browser.close()


@pytest.fixture
def changed(built, tmp_path):
    """A function that takes or changes files of a copy of the page's folder, and returns it."""

    def change(files):
        folder = shutil.copytree(built, tmp_path / "web", copy_function=os.link)
        for name, content in files.items():
            (folder / name).unlink()  # not the one that it is linked to
            if content is not None:
                (folder / name).write_bytes(content)
        return folder

    return change


@pytest.mark.parametrize(("values", "fault", "wanted"), [
    ("1 - v", "", None),
    ("1 - v + 0.01", "", "differ from WASM's by 2."),
    ("NaN", "", "differ from WASM's by"),
    ("1 - v", "if (name === 'webgpu') throw new Error('device lost');", "device lost"),
])  # fmt: skip
def test_webgpu_is_believed_only_after_a_trial(webgpu, changed, served, values, fault, wanted):
    """A stand-in for the library, on a stand-in for a graphics card."""
    fake = FAKE.replace("WEBGPU", values).replace("FAULT", fault)
    page = Page(webgpu, served(changed({"ort/ort.webgpu.bundle.min.mjs": fake.encode()})))
    page.page.select_option("#backend", "webgpu")
    page.page.wait_for_selector("#place:has-text('WebGPU')")
    page.give(GOOD)
    page.choose("wmf-fast")
    page.run()
    assert ("WebGPU" in page.text("place")) == (wanted is None)
    assert page.page.is_visible("#fallback") == (wanted is not None)
    assert wanted is None or re.search(f"Not on WebGPU: .*{re.escape(wanted)}", page.text("fallback"))
    np.testing.assert_array_equal(page.saved(), 255 - np.asarray(Image.open(io.BytesIO(GOOD))))
    page.page.context.close()


@pytest.mark.parametrize(("losses", "wanted"), [
    (["models/wmf-fast.onnx", "models/wmf.onnx"], {"wmf-fast": "cannot be loaded", "wmf": "truncated"}),
    (["ort/ort.wasm.bundle.min.mjs"], {"wmf-fast": "cannot be loaded"}),
])  # fmt: skip
def test_missing_files_of_the_page_get_one_line(browser, built, changed, served, losses, wanted):
    torn = (built / "models" / "wmf.onnx").read_bytes()[:-100]
    page = Page(browser, served(changed({name: torn if "wmf.onnx" in name else None for name in losses})))
    page.give(GOOD)
    for model, words in wanted.items():
        page.page.check(f"#models input[value={model}]", force=True)
        said = page.run()
        assert words in said and "make web" in said and "\n" not in said, said
    page.page.context.close()


@pytest.mark.skipif("PNEN_WEBGPU" not in os.environ, reason="set PNEN_WEBGPU=1: WebGPU takes minutes on a stand-in")
@pytest.mark.parametrize("model", ["l0-fast", "wmf-fast"])  # weights of 32 and of 16 bits
def test_webgpu_gives_what_wasm_gives(chromium, address, model):
    browser, results = chromium(*GPU), []
    for backend in ("webgpu", "wasm"):
        page = Page(browser, address)
        page.page.select_option("#backend", backend)
        page.give(GOOD)
        page.choose(model)
        page.run()
        assert ("WebGPU" in page.text("place")) == (backend == "webgpu"), page.text("fallback")
        results.append(page.saved())
    assert differ(*results) <= 1
    browser.close()
