"""Runs in a Python that has VapourSynth: PROJECT MODEL. vs-mlrt is played by ONNX Runtime in ModifyFrame."""

import json
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import vapoursynth as vs

PROJECT, MODEL = sys.argv[1:]
sys.path[:0] = [PROJECT, f"{PROJECT}/integrations/vapoursynth"]

import pnen_vs  # noqa: E402

from pnen_runtime import Smoother  # noqa: E402

core = vs.core


def stand_in(clips, path):
    """What vsort checks and does with a frame of one tile."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    planes = sum(clip.format.num_planes for clip in clips)
    assert taken.type == given.type == "tensor(float)" and taken.shape[:2] == [1, planes] and given.shape[:2] == [1, 3]
    assert all(clip.format.sample_type == vs.FLOAT and clip.format.bits_per_sample == 32 for clip in clips)
    assert len({(clip.width, clip.height, clip.num_frames) for clip in clips}) == 1

    def frame(n, f):
        frames = f if isinstance(f, list) else [f]
        stack = [np.asarray(one[plane]) for one in frames for plane in range(one.format.num_planes)]
        (smooth,) = session.run(None, {taken.name: np.stack(stack)[None]})
        out = frames[0].copy()
        for plane in range(3):
            np.asarray(out[plane])[...] = smooth[0, plane]
        return out

    return core.std.ModifyFrame(clips[0], clips, frame)


def picture(pixels, form):
    """A clip of two frames, (3, H, W) float32."""
    height, width = pixels.shape[1:]

    def fill(n, f):
        out = f.copy()
        for plane in range(3):
            np.asarray(out[plane])[...] = pixels[plane]
        return out

    blank = core.std.BlankClip(width=width, height=height, format=vs.RGBS, length=2, keep=True)
    clip = core.std.ModifyFrame(blank, blank, fill)
    return clip if form == vs.RGBS else clip.resize.Bicubic(format=form, matrix=6)


def array(clip):
    frame = clip.get_frame(1)
    return np.stack([np.asarray(frame[plane]) for plane in range(3)])


told = {}
pixels = np.random.default_rng(0).random((3, 48, 64), np.float32)
with Smoother("l0-fast", tile="whole") as smoother:
    smoother.card = replace(smoother.card, border="")  # a program knows none
    expected = smoother.run(pixels.transpose(1, 2, 0).copy(), strength=0.05).transpose(2, 0, 1)
    found = array(pnen_vs.smooth(picture(pixels, vs.RGBS), MODEL, 0.05, stand_in))
    told["number"] = float(np.abs(np.clip(found, 0, 1) - expected).max())
    map_of = np.linspace(0.002, 0.2, 48 * 64, dtype=np.float32).reshape(48, 64)
    expected = smoother.run(pixels.transpose(1, 2, 0).copy(), strength=map_of).transpose(2, 0, 1)
    grey = picture(np.stack([map_of] * 3), vs.RGBS).std.ShufflePlanes(0, vs.GRAY)
    found = array(pnen_vs.smooth(picture(pixels, vs.RGBS), MODEL, grey, stand_in))
    told["map"] = float(np.abs(np.clip(found, 0, 1) - expected).max())
film = picture(0.35 + 0.3 * pixels, vs.YUV444P8)  # colours that RGB has
smooth = pnen_vs.smooth(film, MODEL, 0.05, stand_in)
told["format"] = smooth.format.name == film.format.name
with Smoother("l0-fast", tile="whole") as smoother:
    smoother.card = replace(smoother.card, border="")  # a program knows none
    seen = np.clip(array(film.resize.Bicubic(format=vs.RGBS)), 0, 1).transpose(1, 2, 0).copy()
    again = picture(smoother.run(seen, strength=0.05).transpose(2, 0, 1), vs.YUV444P8)
luma = [np.asarray(clip.get_frame(1)[0]).astype(int) for clip in (again, smooth)]
told["luma"] = int(np.abs(luma[0] - luma[1]).max())
print(json.dumps(told))
