"""Small clips made by PyAV, and what is in one."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from skimage import data

from pnen_runtime import Smoother
from pnen_runtime.cli import smooth

try:
    import av
except ImportError:  # the tests say so
    av = None

PHOTO = data.coffee()
WIDE, HIGH = 96, 64
MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}  # red and blue of luma: BT.709, BT.601
LIMITED, FULL = 1, 2


def picture(number, width=WIDE, height=HIGH):
    """A photograph that moves, (H, W, 3) uint8, without colour that chroma of half the size would lose."""
    part = PHOTO[80 + number : 80 + number + 2 * height : 2, 100 : 100 + 2 * width : 2].astype(float)
    grey = part.mean(2, keepdims=True)
    return np.clip(0.7 * grey + [60, 10, 0], 0, 255)


def planes(rgb, matrix, range_, peak=255):
    """Y, U and V by the formulas of ITU-R BT.601 and BT.709, of the pixels' own size."""
    kr, kb = MATRICES[matrix]
    red, green, blue = np.moveaxis(rgb, 2, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    parts = [luma, (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))]
    scale = [(219, 16), (224, 128), (224, 128)] if range_ == LIMITED else [(255, 0), (255, 128), (255, 128)]
    unit = (peak + 1) // 256
    return [(part * gain / 255 + zero) * unit for part, (gain, zero) in zip(parts, scale, strict=True)]


def a_frame(number, pix_fmt="yuv420p", matrix=1, range_=LIMITED, **size):
    rgb = picture(number, **size)
    frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], pix_fmt)
    deep = "10" in pix_fmt
    for plane, part in zip(frame.planes, planes(rgb, matrix, range_, 1023 if deep else 255), strict=True):
        down, across = part.shape[0] // plane.height, part.shape[1] // plane.width
        small = part.reshape(plane.height, down, plane.width, across).mean((1, 3))
        rows = np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(plane.height, -1)
        rows[:, : plane.width] = np.rint(small)
    frame.colorspace, frame.color_range = matrix, range_
    return frame


@pytest.fixture
def clip(tmp_path):
    """clip(name, ...) → path of a clip of a moving photograph, with a tone, a subtitle, a title and a chapter."""

    def make(name="in.mp4", frames=16, *, codec="libx264", pix_fmt="yuv420p", matrix=1, range_=LIMITED, times=None,
             sound="aac", subtitle=None, turn=0, aspect=None, options=None, tag=True, trc=1, container=None,
             clock=12800, **size):  # fmt: skip
        path = tmp_path / name
        with av.open(str(path), "w", container_options=container) as file:
            video = file.add_stream(codec, rate=25, options=options or {"crf": "4", "bf": "2", "g": "8"})
            first = picture(0, **size)
            video.height, video.width, video.pix_fmt = *first.shape[:2], pix_fmt
            video.time_base = video.codec_context.time_base = Fraction(1, clock)
            if tag:
                video.colorspace, video.color_range, video.color_primaries, video.color_trc = matrix, range_, 1, trc
            if aspect:
                video.sample_aspect_ratio = aspect
            if turn:
                video.set_display_rotation(turn)
            file.metadata["title"] = "A film"
            file.set_chapters([{"id": 1, "start": 0, "end": 300, "time_base": Fraction(1, 1000),
                                "metadata": {"title": "One"}}])  # fmt: skip
            tone = sound and file.add_stream(sound, rate=48000)
            if tone:
                tone.metadata["language"] = "eng"
            words = subtitle and file.add_mux_stream(subtitle)
            for number in range(frames):
                frame = a_frame(number, pix_fmt, matrix, range_, **size)
                frame.pts = times[number] if times else clock // 25 * number
                frame.time_base = Fraction(1, clock)
                file.mux(video.encode(frame))
            file.mux(video.encode(None))
            for number in range(frames * 2 if tone else 0):
                wave = np.sin(np.arange(1024) * 0.05 + number)[None].repeat(2, 0).astype(np.float32)
                part = av.AudioFrame.from_ndarray(wave, "fltp", "stereo")
                part.sample_rate, part.pts, part.time_base = 48000, 1024 * number, Fraction(1, 48000)
                file.mux(tone.encode(part))
            if tone:
                file.mux(tone.encode(None))
            if words:
                packet = av.Packet(b"Hello")
                packet.stream, packet.pts, packet.dts, packet.duration = words, 0, 0, 300
                packet.time_base = Fraction(1, 1000)
                file.mux(packet)
        return path

    return make


def shown(path):
    """The frames of a video as PyAV decodes them."""
    with av.open(str(path)) as file:
        return list(file.decode(video=0))


def yuv(frame):
    """Y, U and V of a frame as integers."""
    kind = np.uint16 if "10" in frame.format.name else np.uint8
    return [
        np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width].astype(int) for plane in frame.planes
    ]


def packets(path, kind):
    with av.open(str(path)) as file:
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in file.demux(**{kind: 0}) if packet.size]


def times(path):
    return [frame.pts * frame.time_base for frame in shown(path)]


@pytest.fixture(scope="session")
def look():
    """What is in a video: look.shown(path) → frames, look.yuv(frame), look.packets(path, kind), look.times(path)."""
    return SimpleNamespace(shown=shown, yuv=yuv, packets=packets, times=times, picture=picture, photo=PHOTO)


@pytest.fixture
def toy(model):
    with Smoother(model("identity"), threads=1) as smoother:
        yield smoother


@pytest.fixture
def run(model):
    return lambda *words, kind="identity", **more: CliRunner().invoke(
        smooth, [*map(str, words), "-m", str(model(kind)), "--threads", "1"], **more)  # fmt: skip
