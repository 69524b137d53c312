"""Full places, clients that go away or are slow, many at once, and the end."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from click.testing import CliRunner

from pnen_runtime.cli import smooth
from pnen_runtime.one_picture import Made
from pnen_runtime.serving import places

from .conftest import begin, command, file_of, noise, service

PICTURE = file_of(noise(1))


def head(size, path="/smooth"):
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode()


def until(condition):
    """Wait for something that comes in any case."""
    while not condition():
        time.sleep(0.01)


def rest(connection):
    """All that still comes; the connection is closed then."""
    found = bytearray()
    try:
        while part := connection.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    connection.close()
    return bytes(found)


def test_who_comes_when_all_places_are_taken_is_told_when_to_come_back(gate):
    open_, reached = gate
    with service(workers=1, waiting=1) as client:
        taken = [begin(client.port, head(len(PICTURE)) + PICTURE) for _ in range(2)]
        reached.acquire()
        until(lambda: client.places.taken == 2)
        status, headers, data = client.ask("/smooth", PICTURE)
        assert status == 503 and 1 <= int(headers["Retry-After"]) <= 60
        assert "expected at most 2 pictures at once, and so many are here" in json.loads(data)["error"]
        health = json.loads(client.ask("/health")[2])  # answers while others are computed
        assert (health["status"], health["places"], health["taken"]) == ("ok", 2, 2)
        assert client.count("pnen_places_taken") == 2
        open_.set()
        for connection in taken:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
            connection.close()
        until(lambda: client.places.taken == 0)
        assert client.ask("/smooth", PICTURE)[0] == 200


def test_a_body_that_is_still_coming_has_a_place_already():
    with service(workers=1, waiting=0) as client:
        slow = begin(client.port, head(len(PICTURE)) + PICTURE[:-1])
        until(lambda: client.places.taken == 1)
        assert client.refused("/smooth", PICTURE)[0] == 503
        slow.sendall(PICTURE[-1:])
        assert slow.recv(65536).startswith(b"HTTP/1.1 200 OK")
        slow.close()


@pytest.mark.parametrize("moment", ["before its picture is whole", "while it waits", "while it is computed"])
def test_a_client_that_goes_away_leaves_its_place(gate, moment):
    open_, reached = gate
    with service(workers=1, waiting=2) as client:
        first = begin(client.port, head(len(PICTURE)) + PICTURE)
        reached.acquire()
        gone = first
        if moment != "while it is computed":
            whole = moment == "while it waits"
            gone = begin(client.port, head(len(PICTURE)) + PICTURE[: None if whole else 50])
            until(lambda: client.places.taken == 2)
        gone.close()
        until(lambda: client.count('pnen_answers_total{model="l0-fast",status="499"}') == 1)
        open_.set()
        until(lambda: client.places.taken == 0)
        first.close()
        assert not reached.acquire(blocking=False)  # what waited was never begun
        assert client.count("pnen_computing_seconds_count" + '{model="l0-fast"}') == (gone is not first)
        assert client.ask("/smooth", PICTURE)[0] == 200


def test_a_picture_that_takes_too_long_is_given_up(gate):
    open_, _ = gate
    with service(workers=1, waiting=0, seconds=0.5, early=head(len(PICTURE)) + PICTURE) as client:
        answer = rest(client.early)
        assert answer.startswith(b"HTTP/1.1 503 ") and b"expected the result within 0.5 s of the picture" in answer
        assert client.places.taken == 1  # until its thread has ended
        open_.set()
        until(lambda: client.places.taken == 0)


@pytest.mark.parametrize(("sent", "answer"), [
    (b"", b""), (b"POST /smooth HT", b""), (head(100)[:-2] + b"X: 1", b""), (head(100) + b"abc", b"HTTP/1.1 408 "),
    (b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET", b"HTTP/1.1 200 "),
    (head(10**9) + b"abc", b"HTTP/1.1 413 "),
])  # fmt: skip
def test_a_client_that_is_too_slow_is_let_go(sent, answer):
    with service(seconds=0.5, early=sent) as client:
        found = rest(client.early)
        assert found.startswith(answer) and bool(found) == bool(answer)
        until(lambda: client.places.taken == 0)


def test_a_client_that_does_not_take_its_answer_is_let_go(monkeypatch):
    made = Made(bytes(50_000_000), 1, 1, 1, None, "8 bits", lambda: None)  # more than systems hold for a connection
    computed = []
    monkeypatch.setattr(places, "smoothed", lambda *_: computed.append(1) or made)
    with service(workers=1, waiting=0, seconds=2, early=head(len(PICTURE)) + PICTURE) as client:
        until(lambda: computed and client.places.taken == 0)
        found = rest(client.early)
        assert found.startswith(b"HTTP/1.1 200 OK") and len(found) < 50_000_000
    with service(workers=1, waiting=0) as client:  # one that only begins late gets all of it
        connection = begin(client.port, head(len(PICTURE)) + PICTURE)
        until(lambda: client.count('pnen_answers_total{model="l0-fast",status="200"}') == 1)
        assert client.places.taken == 1  # its result is still here
        connection.shutdown(socket.SHUT_WR)
        found = rest(connection)
        assert found.startswith(b"HTTP/1.1 200 OK") and found.endswith(bytes(50_000_000))


@pytest.mark.parametrize("models", [("l0-fast",), ("l0-fast", "wmf-fast", "sd")])
def test_nobody_ever_gets_the_picture_of_another(models):
    from pnen_runtime import Smoother

    right, wrong = {}, []
    for name in models:
        with Smoother(name, threads=1) as smoother:
            right[name] = [np.asarray(smoother.run(noise(seed))) for seed in range(32)]
    with service(models, workers=3, waiting=32) as client:

        def ask(seed):
            import io

            from PIL import Image

            for turn in range(4):
                name = models[(seed + turn) % len(models)]
                status, _, data = client.ask(f"/smooth?model={name}", file_of(noise(seed)))
                if status != 200 or not np.array_equal(np.asarray(Image.open(io.BytesIO(data))), right[name][seed]):
                    wrong.append((seed, name, status))

        clients = [threading.Thread(target=ask, args=(seed,)) for seed in range(32)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        assert not wrong
        assert sum(client.count(f'pnen_answers_total{{model="{name}",status="200"}}') for name in models) == 128


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_when_what_has_begun_is_answered(number):
    large = file_of(noise(2, 700, 700))
    with command("--model", "l0-fast") as (process, client):
        asked = begin(client.port, head(len(large)) + large)
        until(lambda: client.count("pnen_running") or client.count('pnen_answers_total{model="l0-fast",status="200"}'))
        process.send_signal(getattr(signal, number))
        assert rest(asked).startswith(b"HTTP/1.1 200 OK")
        assert process.wait() == 0 and "ended: all that had begun is answered" in process.stderr.read()


@pytest.mark.parametrize("computing", [False, True])
def test_ctrl_c_twice_ends_it_at_once(computing):
    large = file_of(noise(2, 3000, 3000), "BMP") if computing else b""  # which takes long
    with command("--model", "l0-fast") as (process, client):
        asked = begin(client.port, head(len(large)) + large if computing else head(100))  # else it never comes whole
        until(lambda: client.count("pnen_running" if computing else "pnen_places_taken") == 1)
        process.send_signal(signal.SIGINT)
        until(lambda: refuses(client.port))
        process.send_signal(signal.SIGINT)
        said = (process.wait(), process.stderr.read())
        assert said[0] == 130 and "interrupted" in said[1] and "Traceback" not in said[1]
        asked.close()


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def test_another_host_is_warned_about():
    with command("--model", "l0-fast", "--host", "0.0.0.0") as (process, client):
        assert "0.0.0.0 is not this machine alone" in "".join(process.said) and client.ask("/health")[0] == 200
    with command("--model", "l0-fast") as (process, client):
        assert len(process.said) == 1 and "serving l0-fast on http://127.0.0.1:" in process.said[0]


def run(*words):
    return CliRunner().invoke(smooth, ["serve", *map(str, words)])


@pytest.mark.parametrize("name", ["starlette", "uvicorn", "prometheus_client", "python_multipart"])
def test_without_the_extra_it_says_what_to_install(name):
    code = f"import sys; sys.modules[{name!r}] = None; from pnen_runtime.cli import smooth; smooth(['serve'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 4 and len(done.stderr.splitlines()) == 1
    assert "install it: pip install starlette uvicorn python-multipart prometheus-client" in done.stderr


def test_what_cannot_begin_is_one_line(tmp_path):
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(b"nothing")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for words, code, line in [
            (["--model", "l1"], 2, "no model 'l1'"), (["--model", torn], 5, "torn.onnx"),
            (["--model", "l0", "--model", "l0"], 2, "would both be 'l0'"), (["--workers", "0"], 2, "--workers"),
            (["--port", port], 1, f"127.0.0.1:{port}: Address already in use"),
            (["--host", "no.such.host.invalid"], 1, "no.such.host.invalid:8000"), (["--max-pixels", "179"], 2, "178"),
        ]:  # fmt: skip
            done = run(*words)
            assert done.exit_code == code and line in done.stderr.splitlines()[-1], done.stderr


def test_pnen_smooth_does_not_wait_for_it():
    slow = "{'starlette', 'uvicorn', 'asyncio', 'prometheus_client', 'tritonclient'}"
    code = f"import sys, pnen_runtime.cli; assert not {slow} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
