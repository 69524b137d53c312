"""What cannot be is refused in one line of JSON, and costs nothing but itself."""

import contextlib
import socket

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pnen_runtime.errors import BackendMissing
from pnen_runtime.models import find_model
from pnen_runtime.serving.command import serve

from .conftest import file_of, noise, service

PICTURE = file_of(noise(1))


@pytest.mark.parametrize(("query", "status", "words"), [
    ("model=l1", 404, "expected one of the models l0-fast, wmf-fast, denoise, enlarge2, got 'l1'"),
    ("model=../l0-fast.onnx", 404, "expected one of the models"),
    ("model=" + "a" * 5000, 404, "expected one of the models"),
    ("stregth=1", 400, "expected the parameters model, strength, mix, detail, format, quality, got 'stregth'"),
    ("strength=0.1&strength=0.2", 400, "expected strength once, got it twice"),
    ("strength=7", 400, "expected a strength from 0.002 to 0.2 (λ of L0 gradient minimisation), got 7"),
    ("strength=nan", 400, "expected a strength from"),
    ("strength=much", 400, "expected strength to be a number, got 'much'"),
    ("strength=auto", 400, '"auto" is for denoisers'),
    ("model=wmf-fast&strength=3", 400, "this model knows one strength"),
    ("model=denoise&strength=51", 400, "expected a strength from 0 to 50"),
    ("model=enlarge2&strength=1", 400, "expected neither strength nor detail with enlarge2"),
    ("model=enlarge2&detail=1", 400, "expected neither strength nor detail with enlarge2"),
    ("mix=2", 400, "expected a mix from 0 to 1, got 2"), ("mix=", 400, "expected mix to be a number, got ''"),
    ("detail=11", 400, "expected detail from 0 to 10, got 11"), ("detail=-1", 400, "expected detail from 0 on"),
    ("detail=inf", 400, "expected detail from 0 on"), ("detail=1&mix=0.5", 400, "no mix beside it"),
    ("format=exe", 400, "expected a format out of avif, bmp,"), ("format=png/../x", 400, "expected a format out of"),
    ("quality=5", 400, "expected quality with JPEG, AVIF, WEBP, got it with PNG"),
    ("format=jpg&quality=0", 400, "expected quality to be a whole number from 1 to 100, got '0'"),
    ("format=jpg&quality=%D9%A3", 400, "expected quality to be a whole number"),
    ("a%0Ab=1", 400, "expected the parameters"),
])  # fmt: skip
def test_a_query_that_cannot_be(client, query, status, words):
    found = client.refused(f"/smooth?{query}", PICTURE)
    assert found[0] == status and words in found[1] and len(found[1]) < 400, found


@pytest.mark.parametrize(("body", "kind", "status", "words"), [
    (b"", "", 422, "expected a picture in the body, got nothing"),
    (b"a text", "", 422, "expected an image, got something else or a broken header"),
    (PICTURE[:200], "", 422, "the image cannot be read"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n", "", 422, "expected an image, got something else"),
    (file_of(noise(1, 8, 8)), "", 422, "expected at least 16 pixels a side, got 8x8"),
    (b"--x\r\n\r\n" + PICTURE + b"\r\n--x\r\n\r\n" + PICTURE + b"\r\n--x--\r\n", "multipart/form-data; boundary=x",
     422, "expected a form of one part, the picture, got 2 parts"),
    (b"--x--\r\n", "multipart/form-data; boundary=x", 422, "expected a form"),
    (b"--x\r\n\r\n" + PICTURE, "multipart/form-data; boundary=x", 422, "got one that is cut off"),
    (PICTURE, "multipart/form-data; boundary=x", 422, "got a broken one"),
    (PICTURE, "multipart/form-data", 422, "expected a boundary in the form's Content-Type"),
    (PICTURE, "multipart/form-data; boundary=" + "x" * 500, 422, "got a broken one"),
])  # fmt: skip
def test_a_body_that_is_no_picture(client, body, kind, status, words):
    found = client.refused("/smooth", body, headers={"Content-Type": kind} if kind else None)
    assert found[0] == status and words in found[1], found


@pytest.mark.parametrize(("path", "method", "status"), [
    ("/", "GET", 404), ("/smooth", "GET", 405), ("/smooth", "PUT", 405), ("/health", "POST", 405),
    ("/etc/passwd", "GET", 404), ("/smooth/../models", "GET", 404),
])  # fmt: skip
def test_another_path_or_method_says_what_there_is(client, path, method, status):
    found = client.refused(path, None, method=method)
    assert found == (status, f"expected POST /smooth, or GET /health, /models or /metrics, got {method} {path}")


def raw(client, sent):
    """The answer's head and body to bytes of our own."""
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(sent)
        found = b""
        while b"}" not in found and (part := connection.recv(65536)):
            found += part
    return found.decode()


HEAD = b"POST /smooth HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(("sent", "status", "words"), [
    (HEAD + b"Content-Length: 1000000000000\r\n\r\n", 413, "expected a body of at most 1,000,000 bytes, got 1,000,0"),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"40000\r\n" + bytes(0x40000) + b"\r\n") * 4, 413, "got more"),
    (HEAD + b"Content-Length: -1\r\n\r\n", 400, "expected a request of HTTP/1.1"),
    (b"\x16\x03\x01\x02\x00\x01", 400, "expected a request of HTTP/1.1"),
    (HEAD + b"X: " + b"x" * 200_000, 400, "expected a request of HTTP/1.1"),
])  # fmt: skip
def test_what_is_too_long_or_no_request_is_answered_before_it_is_read(client, sent, status, words):
    found = raw(client, sent)
    assert found.startswith(f"HTTP/1.1 {status} ") and words in found, found
    assert client.ask("/smooth", PICTURE)[0] == 200


def pages(count):
    page = Image.new("L", (100, 100))
    return file_of(page, "TIFF", save_all=True, append_images=[page] * (count - 1), compression="tiff_lzw")


@pytest.mark.parametrize(("body", "query", "words"), [
    (lambda: file_of(Image.new("L", (2000, 600))), "", "expected at most 1,000,000 pixels, got 2000x600"),
    (lambda: file_of(Image.new("1", (20000, 20000))), "", "could be decompression bomb"),
    (lambda: pages(101), "format=tif", "expected at most 1,000,000 pixels, got 100x100 in 101 frames"),
    (lambda: file_of(Image.new("L", (600, 600))), "model=enlarge2", "expected at most 250,000 pixels, got 600x600"),
    (lambda: file_of(Image.fromarray(np.zeros((1100, 1000), np.uint16))), "", "expected at most 1,000,000 pixels"),
])  # fmt: skip
def test_a_small_file_of_many_pixels_is_not_decoded(body, query, words):
    with service(("l0-fast", "enlarge2"), most_bytes=10**7) as client:
        status, line = client.refused(f"/smooth?{query}", body())
    assert status == 413 and words in line and "MAX_IMAGE_PIXELS" not in line, line


def test_frames_that_are_not_asked_for_do_not_count(client):
    assert client.ask("/smooth?format=jpg", pages(101))[0] == 200


def test_pillow_s_own_limit_stands(client):
    assert Image.MAX_IMAGE_PIXELS is not None


def test_a_model_that_breaks_is_one_line_and_the_next_goes_on(monkeypatch):
    from pnen_runtime import EngineError
    from pnen_runtime.serving import places

    right = places.smoothed
    for error, status, words in [
        (EngineError("it gave values that are not numbers"), 500, "values that are not numbers"),
        (MemoryError(), 503, "expected memory for this picture"),
        (RuntimeError("a\nb"), 500, "unexpected RuntimeError: a b"),
    ]:

        def fail(*_, error=error):
            raise error

        with service() as client:
            monkeypatch.setattr(places, "smoothed", fail)
            found = client.refused("/smooth", PICTURE)
            assert found[0] == status and words in found[1]
            monkeypatch.setattr(places, "smoothed", right)
            assert client.ask("/smooth", PICTURE)[0] == 200
            assert client.count(f'pnen_answers_total{{model="l0-fast",status="{status}"}}') == 1


@pytest.mark.parametrize(("words", "code", "told"), [
    (["--backend", "onnxruntime-cuda"], 4, "install it"),
    (["--backend", "onnxruntime-openvino"], 4, "install it"),
    (["--backend", "tensorrt"], 2, "is no engine, which tensorrt needs"),
    (["--backend", "onnxruntime-openvino", "--provider-option", "GPU"], 2, "expected KEY=VALUE"),
    (["--provider-option", "device_type=GPU"], 2, "provider options with one of"),
])  # fmt: skip
def test_a_backend_that_does_not_run_here_is_told_before_it_listens(words, code, told, monkeypatch):
    if "install" in told and has(words[1]):
        pytest.skip(f"{words[1]} runs here")
    monkeypatch.setattr("pnen_runtime.serving.connection.listen", lambda *_: pytest.fail("it listens"))
    done = CliRunner().invoke(serve, ["--model", "l0-fast", "--port", "0", *words])
    assert done.exit_code == code and told in done.stderr, done.output
    assert len(done.stderr.strip().splitlines()) == 1


def has(backend):
    from pnen_runtime.backends import open_backend

    with contextlib.suppress(BackendMissing):
        open_backend(find_model("l0-fast"), backend).close()
        return True
    return False
