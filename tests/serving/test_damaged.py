"""Damaged requests, by seeds: each is answered or let go, none is the service's own fault, and all places come back."""

import random
import socket
import threading
import time
from contextlib import suppress

import pytest
from hypothesis import given, strategies

from pnen_runtime.errors import UsageError
from pnen_runtime.models import find_model
from pnen_runtime.onnx_card import read_onnx_card
from pnen_runtime.serving.query import KNOWN, read_query

from .conftest import file_of, noise, service

PICTURE = file_of(noise(1))
FORM = b'--xyz\r\nContent-Disposition: form-data; name="a"; filename="b.png"\r\n\r\n' + PICTURE + b"\r\n--xyz--\r\n"
CARDS = {name: read_onnx_card(find_model(name)) for name in ("l0", "wmf", "denoise", "enlarge2")}


def request(body, kind=b""):
    head = (f"POST /smooth?model=l0-fast&strength=0.1&mix=0.5&format=jpg&quality=80 HTTP/1.1\r\nHost: a\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n").encode()  # fmt: skip
    return head + (b"Content-Type: " + kind + b"\r\n" if kind else b"") + b"\r\n" + body


WHOLE = (request(PICTURE), request(FORM, b"multipart/form-data; boundary=xyz"))


def damaged(seed):
    """Bytes change, go, come or change places; half of the time in the head alone."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(WHOLE))
    end = chance.choice((300, len(data)))
    for _ in range(chance.randint(1, 3)):
        at, size = chance.randrange(min(end, len(data))), chance.randint(1, 9)
        change = chance.randrange(4)
        if change == 0:
            data[at] = chance.randrange(256)
        elif change == 1:
            del data[at : at + size]
        elif change == 2:
            data[at:at] = chance.randbytes(size)
        else:
            data[at : at + size] = data[chance.randrange(len(data)) :][:size]
    return bytes(data)


@pytest.mark.slow
def test_damaged_requests_are_answered_or_let_go():
    odd, left = [], iter(range(400))
    with service(waiting=40, seconds=0.5) as client:

        def work():
            for seed in left:
                found = b""
                with socket.create_connection(("127.0.0.1", client.port)) as connection:
                    try:
                        connection.sendall(damaged(seed))
                        while part := connection.recv(65536):
                            found += part
                    except OSError:
                        continue
                if found and not found.startswith((b"HTTP/1.1 200", b"HTTP/1.1 4", b"HTTP/1.1 503")):
                    odd.append((seed, found[:200]))

        clients = [threading.Thread(target=work) for _ in range(16)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        while client.places.taken:
            time.sleep(0.01)
        assert not odd and healthy(client)


def healthy(client):
    """Whether it answers; who is slow, as this may be on a busy machine, is let go and asks again."""
    while True:
        with suppress(ConnectionResetError, BrokenPipeError):
            return client.ask("/health")[0] == 200


@pytest.mark.parametrize("whole", WHOLE)
def test_the_undamaged_ones_are_answered(whole):
    with service() as client, socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(whole)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


WORDS = strategies.sampled_from(["auto", "l0", "denoise", "enlarge2", "wmf", "png", "jpg", ""])
NUMBERS = strategies.one_of(strategies.floats(), strategies.integers()).map(str)
VALUES = strategies.one_of(strategies.text(max_size=20), NUMBERS, WORDS)
NAMES = strategies.one_of(strategies.sampled_from(KNOWN), strategies.text())


@given(strategies.lists(strategies.tuples(NAMES, VALUES)))
def test_any_query_is_a_request_or_one_line(query):
    try:
        wanted, line = read_query(query, CARDS), ""
    except UsageError as error:
        wanted, line = None, str(error)
    assert len(line) < 500 and bool(line) == (wanted is None)
    if wanted is not None:
        assert wanted.model in CARDS and 0 <= wanted.settings["mix"] <= 1
        card, strength = CARDS[wanted.model], wanted.settings.get("strength")
        if card.strength and strength not in (None, "auto"):
            assert card.strength["least"] - 1e-6 <= strength <= card.strength["most"] + 1e-6
