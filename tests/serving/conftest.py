import http.client
import io
import json
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from pnen_runtime.models import find_model
from pnen_runtime.onnx_card import read_onnx_card
from pnen_runtime.serving import places as places_module
from pnen_runtime.serving.application import Service
from pnen_runtime.serving.connection import listen, make_server
from pnen_runtime.serving.places import Places

LIMIT = 1024 * 1024 * 1024 // 4 // 3  # pixels, of Pillow


@pytest.fixture(autouse=True)
def _pillows_limit(monkeypatch):
    """As in a process of its own: commands that were tested in this one have lifted it."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", LIMIT)


class Client:
    """Asks one service; each question has a connection of its own."""

    def __init__(self, port):
        self.port = port

    def ask(self, path, body=None, headers=None, method=None):
        """Status, headers and body of an answer."""
        asked = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            asked.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
            answer = asked.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            asked.close()

    def refused(self, path, body=b"x", **settings):
        """Status and line of a refusal, which is one line of JSON."""
        status, headers, data = self.ask(path, body, **settings)
        assert headers["Content-Type"] == "application/json", data
        (said,) = json.loads(data).items()
        assert said[0] == "error" and "\n" not in said[1] and status >= 400
        return status, said[1]

    def count(self, line):
        """One number of /metrics."""
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.ask("/metrics")[2].decode(), re.M)
        return float(found[1]) if found else 0.0


@contextmanager
def command(*words):
    """`pnen-smooth serve` as a process, and its client."""
    line = [sys.executable, "-m", "pnen_runtime", "serve", "--port", "0", "--threads", "1", *map(str, words)]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    try:
        said = []
        while not (found := re.search(r" on http://\S+:(\d+)", (said.append(process.stderr.readline()) or said[-1]))):
            assert said[-1], said
        process.said = said
        yield process, Client(int(found[1]))
    finally:
        process.kill()
        process.communicate()


def begin(port, sent):
    """A connection on which this has been sent."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(sent)
    return connection


@contextmanager
def service(names=("l0-fast",), workers=1, waiting=1, most=10**6, most_bytes=10**6, seconds=600.0, early=None):
    """The service in a thread of this process, and its client.

    `early` is sent by `client.early` before the service looks: however slow the machine, it then comes in time.
    """
    files = {name: find_model(name) for name in names}
    cards = {name: read_onnx_card(path) for name, path in files.items()}
    places = Places(files, workers, waiting, most, threads=1)
    opened = listen("127.0.0.1", 0)
    server = make_server(Service(cards, places, most_bytes, seconds).application(), seconds)
    thread = threading.Thread(target=server.run, args=([opened],))
    client = Client(opened.getsockname()[1])
    client.places = places
    client.early = None if early is None else begin(client.port, early)
    thread.start()
    try:
        yield client
    finally:
        server.should_exit = True
        thread.join()
        places.close()


@pytest.fixture(scope="module")
def client():
    with service(("l0-fast", "wmf-fast", "denoise", "enlarge2"), waiting=40) as found:
        yield found


@pytest.fixture
def gate(monkeypatch):
    """Pictures wait at an event before they are computed, and say at another one that they have come so far."""
    smoothed, open_, reached = places_module.smoothed, threading.Event(), threading.Semaphore(0)

    def wait(smoother, data, kind, wanted, saved, progress, most):
        reached.release()
        open_.wait()
        progress(0, 1)
        return smoothed(smoother, data, kind, wanted, saved, progress, most)

    monkeypatch.setattr(places_module, "smoothed", wait)
    yield open_, reached
    open_.set()


def noise(seed, height=24, width=32, mode="RGB"):
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (height, width, bands), np.uint8)
    return Image.fromarray(values[..., 0] if bands == 1 else values, mode)


def file_of(image, kind="PNG", **settings):
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()
