"""The pipe of docs/video.md and docs/vapoursynth.md, with FFmpeg at both ends."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pnen_runtime import Smoother

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT, FRAMES = 64, 48, 3

pytestmark = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="FFmpeg is not installed")


def ffmpeg(*words, **more):
    return subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, words)], check=True, capture_output=True, **more)


def frames(film):
    """(N, H, W, 3) uint8, as FFmpeg decodes them."""
    raw = ffmpeg("-i", film, "-f", "rawvideo", "-pix_fmt", "rgb24", "-").stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)


def pipe(source, result, *options):
    """The two ends and pnen-smooth between them, as a shell runs them."""
    smooth = [sys.executable, "-m", "pnen_runtime", "--raw", f"{WIDTH}x{HEIGHT}", *options, "-", "-"]
    first = ["ffmpeg", "-v", "error", "-i", source, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    last = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", "25",
            "-i", "-", "-i", source, "-map", "0:v", "-map", "1:a?", "-c:a", "copy", "-c:v", "ffv1", "-pix_fmt", "bgr0",
            result]  # fmt: skip
    line = " | ".join(shlex.join(map(str, words)) for words in (first, smooth, last))
    return subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture
def film(tmp_path):
    """A film with sound, of three frames."""
    path = tmp_path / "in.mkv"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25", "-f", "lavfi", "-i", "sine=440",
           "-frames:v", FRAMES, "-t", "0.12", "-c:v", "mpeg4", "-c:a", "pcm_s16le", path)  # fmt: skip
    return path


@pytest.mark.parametrize("options", [{"strength": 0.05}, {"mix": 0.5}, {"detail": 1.0}])
def test_frames_go_from_ffmpeg_through_the_network_to_ffmpeg(film, tmp_path, options):
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    done = pipe(film, tmp_path / "out.mkv", "-m", "l0-fast", *words)
    assert done.returncode == 0, done.stderr
    before, after = frames(film), frames(tmp_path / "out.mkv")
    assert len(before) == len(after) == FRAMES
    with Smoother("l0-fast") as smoother:
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(smoother.run(one.copy(), **options), other)
    sound = subprocess.run(["ffmpeg", "-i", tmp_path / "out.mkv"], capture_output=True, text=True).stderr
    assert "pcm_s16le" in sound, "the sound came along"


def test_a_failure_in_the_middle_is_one_of_the_line(film, tmp_path):
    broken = pipe(film, tmp_path / "out.mkv", "--model", "none")
    assert broken.returncode != 0 and "no model 'none'" in broken.stderr
