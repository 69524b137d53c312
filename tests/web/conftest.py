"""The page as `make web` puts it together, in a headless Chromium; and its modules in Node."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import web

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "web"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")  # WebGPU without a graphics card
NO_LIMIT = {"timeout": 0}  # seconds; no test depends on how fast the machine is
VISIBLE = "#error:not(:empty)"


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """A function that runs a script among the page's modules, with `given` for it, and returns what it tells."""
    if shutil.which("node") is None:
        pytest.skip("needs node")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    (folder / "package.json").write_text('{"type": "module"}')

    def run(script: str, given: object = None) -> object:
        start = "import fs from 'node:fs'; const given = JSON.parse(fs.readFileSync(0, 'utf8'));\n"
        (folder / "script.js").write_text(start + script)
        done = subprocess.run(
            ["node", folder / "script.js"], input=json.dumps(given), capture_output=True, text=True, cwd=folder
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder that a host serves."""
    if not (web.NPM / f"{web.PACKAGE}-{web.VERSION}.tgz").is_file():
        pytest.skip("needs onnxruntime-web: python tools/web.py --build")
    folder = tmp_path_factory.mktemp("page") / "web"
    web.assemble(folder)
    return folder


@pytest.fixture(scope="session")
def chromium():
    """Starts browsers."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    with api.sync_playwright() as started:
        yield lambda *options: started.chromium.launch(executable_path=CHROMIUM, args=list(options), **NO_LIMIT)


@pytest.fixture(scope="session")
def browser(chromium):
    return chromium()


@pytest.fixture(scope="session")
def served():
    """A function that serves a folder, with the headers of `make web` or other ones, and returns its address."""
    servers = []

    def serve(folder: Path, headers: dict[str, str] = web.HEADERS) -> str:
        handler = type("Handler", (web.Handler,), {"headers_sent": headers})
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


class Page:
    """The page, used as its user does."""

    def __init__(self, browser, address: str):
        self.asked: list[str] = []  # for every address
        context = browser.new_context()
        context.set_default_timeout(0)
        context.on("request", lambda request: self.asked.append(request.url))
        self.page = context.new_page()
        self.page.goto(address)
        self.page.wait_for_selector("#place:not(:empty)", state="attached")

    def text(self, name: str) -> str:
        return self.page.text_content(f"#{name}") or ""

    def give(self, data: bytes, name: str = "picture.png") -> None:
        """Choose a file, and wait until it is taken or refused."""
        self.page.set_input_files("#file", [{"name": name, "mimeType": "", "buffer": data}])
        self.page.wait_for_selector(f"#run:not([disabled]), {VISIBLE}")

    def choose(self, model: str) -> None:
        self.page.check(f"#models input[value={model}]", force=True)
        self.page.wait_for_selector(f"#controls[data-card={model}]")

    def slide(self, name: str, place: float) -> str:
        """Move a slider; what it then says."""
        self.page.eval_on_selector(
            f"#{name}", "(input, place) => {input.value = place; input.dispatchEvent(new Event('input'))}", place
        )
        return self.text(f"{name}Value") if name != "compare" else ""

    def run(self) -> str:
        """Run the network; what is then told."""
        self.page.click("#run")
        self.page.wait_for_selector("#controls:not([data-busy])")
        return self.text("status") + self.text("error")

    def saved(self) -> np.ndarray:
        with self.page.expect_download() as download:
            self.page.click("#save")
        return np.asarray(Image.open(download.value.path()))


@pytest.fixture(scope="session")
def address(built, served):
    """Of a host without headers, where the page has one thread: cores that are busy make several ones slow."""
    return served(built, {})


@pytest.fixture(scope="module")
def page(browser, address):
    return Page(browser, address)


def png(pixels: np.ndarray) -> bytes:
    """The bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def differ(one: np.ndarray, other: np.ndarray) -> int:
    """The largest difference, in levels."""
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())
