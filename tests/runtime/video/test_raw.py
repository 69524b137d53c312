"""Raw frames through pipes."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pnen_runtime.video import smooth_raw

av = pytest.importorskip("av", reason="PyAV (extra video) is not installed")
ROOT = Path(__file__).parents[3]


def raw(model, *words, given):
    command = [
        sys.executable,
        "-m",
        "pnen_runtime",
        "--raw",
        "40x32",
        "-",
        "-",
        "-m",
        model("invert"),
        "--threads",
        "1",
    ]
    return subprocess.run([*map(str, command), *words], cwd=ROOT, input=given, capture_output=True)


def test_raw_frames_go_through_pipes(model, look):
    frames = look.photo[: 3 * 32, :40].reshape(3, 32, 40, 3)
    done = raw(model, given=frames.tobytes())
    assert done.returncode == 0 and b"3 frames of 40x32" in done.stderr
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.uint8).reshape(frames.shape), 255 - frames)
    torn = raw(model, given=frames.tobytes()[:-1])
    assert torn.returncode == 1 and b"got 3839 bytes after frame 2" in torn.stderr and b"3 frames" not in torn.stderr
    assert len(torn.stdout) == 2 * 3840
    assert raw(model, given=b"").returncode == 1


def test_raw_frames_in_a_program(toy):

    out = io.BytesIO()
    film = smooth_raw(toy, 40, 32, io.BytesIO(bytes(2 * 3840)), out)
    assert film.frames == 2 and out.getvalue() == bytes(2 * 3840)


def test_a_classical_filter_takes_frames_too():
    command = [sys.executable, "-m", "pnen_runtime", "--raw", "40x32", "-", "-", "--filter", "l0", "--mix", "0"]
    frames = bytes(range(256)) * 30
    done = subprocess.run(command, cwd=ROOT, input=frames, capture_output=True)
    assert done.returncode == 0 and done.stdout == frames and b"2 frames of 40x32" in done.stderr, done.stderr
