"""Many requests from many clients to `pnen-smooth serve`: every answer must be what the same picture gives here.

Usage: python tools/reliability/service.py --requests 10000 --clients 32
"""

from __future__ import annotations

import http.client
import io
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import click
import numpy as np
from PIL import Image

from pnen_runtime import Smoother
from pnen_runtime.commands import Command, say
from pnen_runtime.errors import PnenError
from pnen_runtime.one_picture import smoothed
from pnen_runtime.serving.query import read_query

GROWTH = 64.0  # megabytes, as tools/soak.py allows
SIZES = ((32, 24), (57, 33), (48, 64), (40, 40), (20, 130))
KINDS = (("RGB", "PNG"), ("L", "PNG"), ("RGBA", "PNG"), ("RGB", "JPEG"), ("RGB", "GIF"))
QUERIES = ("", "strength=0.1&format=webp&quality=80", "mix=0.5&format=webp", "detail=1&format=tif")
BROKEN, BAD = 50, 51  # one request in so many is broken off half-way; one in so many is no picture


def pictures(seed: int) -> list[bytes]:
    """Files of noise of every size and kind."""
    random, found = np.random.default_rng(seed), []
    for width, height in SIZES:
        for mode, kind in KINDS:
            bands = len(Image.new(mode, (1, 1)).getbands())
            values = random.integers(0, 256, (height, width, bands), np.uint8)
            file = io.BytesIO()
            Image.fromarray(values[..., 0] if bands == 1 else values).save(file, kind)
            found.append(file.getvalue())
    return found


def answers(model: str, given: list[bytes]) -> dict[tuple[int, str], bytes]:
    """What this process makes of each picture for each query, on one thread."""
    found = {}
    with Smoother(model, threads=1) as smoother:
        for query in QUERIES:
            asked = [(name, value) for name, _, value in (part.partition("=") for part in query.split("&")) if name]
            wanted = read_query(asked, {model: smoother.card})
            for number, data in enumerate(given):
                made = smoothed(smoother, data, wanted.kind, wanted.settings, wanted.saved, None)
                found[number, query] = bytes(made.data)
    return found


def holds(process: int) -> tuple[float, int, int] | None:
    """Megabytes, open files and threads of a process; None where the system does not tell."""
    place = Path("/proc") / str(process)
    if not place.exists():
        return None
    memory = re.search(r"VmRSS:\s+(\d+) kB", (place / "status").read_text())
    return int(memory[1]) / 1e3 if memory else 0.0, *(len(os.listdir(place / part)) for part in ("fd", "task"))


class Load:
    """Clients that share so many requests out among them."""

    def __init__(self, port: int, given: list[bytes], right: dict[tuple[int, str], bytes]):
        self.port, self.given, self.right = port, given, right
        self.faults: list[str] = []
        self.became: Counter[str] = Counter()
        self._left, self._lock = 0, threading.Lock()

    def run(self, requests: int, clients: int) -> None:
        self._left = requests
        started = [threading.Thread(target=self._client) for _ in range(clients)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()

    def _client(self) -> None:
        """Keeps its connection for some requests, then takes another."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        while True:
            with self._lock:
                number, self._left = self._left, self._left - 1
            if number <= 0:
                connection.close()
                return
            try:
                became = self._ask(connection, number)
            except Exception as error:
                became = "failed"
                self.faults.append(f"request {number}: {type(error).__name__}: {error}")
            with self._lock:
                self.became[became] += 1
            if number % 7 == 0:
                connection.close()

    def _ask(self, connection: http.client.HTTPConnection, number: int) -> str:
        place, query = number % len(self.given), QUERIES[number // 3 % len(QUERIES)]
        data = self.given[place]
        if number % BROKEN == 0:
            head = f"POST /smooth?{query} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            with socket.create_connection(("127.0.0.1", self.port)) as broken:
                broken.sendall(head + data[: len(data) // 2 if number % (2 * BROKEN) else None])
            return "broken off"
        bad = number % BAD == 0
        connection.request("POST", f"/smooth?{query}", b"no picture" if bad else data)
        answer = connection.getresponse()
        found = answer.read()
        if answer.status != (422 if bad else 200) or not (bad or found == self.right[place, query]):
            self.faults.append(f"request {number}, {query!r}, picture {place}: {answer.status}, {found[:80]!r}")
        return "refused" if bad else "equal"


@click.command(cls=Command)
@click.option("--requests", metavar="NUMBER", type=click.IntRange(min=1), default=1000, show_default=True)
@click.option("--clients", metavar="NUMBER", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--model", metavar="NAME", default="l0-fast", show_default=True)
@click.option("--seed", metavar="NUMBER", type=click.IntRange(min=0), default=0, show_default=True)
def main(requests: int, clients: int, model: str, seed: int) -> None:
    """Send small pictures over loopback, some broken off half-way, some no pictures, and compare every answer.

    Memory, open files and threads of the service are compared from when all is warm to the end. Exit codes: 0 done,
    1 something differed, failed or grew, 2 wrong usage.
    """
    given = pictures(seed)
    right = answers(model, given)
    line = [sys.executable, "-m", "pnen_runtime", "serve", "--model", model, "--port", "0", "--threads", "1",
            "--waiting", str(2 * clients)]  # fmt: skip
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stderr.readline() if process.stderr else ""
        found = re.search(r":(\d+): ", said)
        if not found:
            raise PnenError(f"expected the service to begin, got: {said}")
        load = Load(int(found[1]), given, right)
        warm = max(requests // 4, len(right))
        load.run(warm, clients)
        before = holds(process.pid)
        load.became.clear()
        began = time.perf_counter()
        load.run(requests, clients)
        seconds = time.perf_counter() - began
        time.sleep(6)  # connections that are kept end after 5 s
        after = holds(process.pid)
        process.terminate()
        code = process.wait()
    finally:
        process.kill()
        process.communicate()
    became = ", ".join(f"{count:,} {name}" for name, count in sorted(load.became.items()))
    pace = f"{seconds:.0f} s, {requests / seconds:.0f} a second"
    say(f"{requests:,} requests to {model} from {clients} clients in {pace}: "
        f"{became}; {len(load.faults)} differ or failed; ended with code {code}")  # fmt: skip
    for when, held in ((f"before, after {warm:,} requests to get warm", before), ("after", after)):
        told = "this system does not tell" if held is None else "{:.0f} MB, {} open files, {} threads".format(*held)
        say(f"{when}: {told}")
    faults = load.faults[:5] + [f"it ended with code {code}"] * (code != 0)
    if before and after:
        faults += [f"{after[0] - before[0]:.0f} MB more"] * (after[0] > before[0] + GROWTH)
        faults += [f"{after[1] - before[1]} more open files"] * (after[1] > before[1])
        faults += [f"{after[2] - before[2]} more threads"] * (after[2] > before[2])
    if faults:
        raise PnenError("; ".join(faults))


if __name__ == "__main__":
    sys.exit(main())
