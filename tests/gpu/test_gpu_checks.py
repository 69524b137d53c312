"""The comparisons of the proof fail on wrong results: shown with backends on the CPU that are off in one way each."""

from dataclasses import replace
from pathlib import Path
from threading import current_thread, main_thread

import numpy as np
import pytest
from gpu_checks import same, speed
from gpu_checks.lab import IDENTITY, Lab
from gpu_checks.stored import read_reference
from gpu_checks.subject import Subject, Wrong

from pnen_runtime.backends.ort import CPU, OrtBackend, open_session
from pnen_runtime.tiles import smooth_tiled

ORT = Subject("onnxruntime-cuda", "tiny", "fp32", "ort")


class Changed:
    """A backend on the CPU; `change` gets each batch and result. `smooth_tiled` is the host's, around the same."""

    name, info = "changed", "changed"

    def __init__(self, change=lambda _batch, smooth: smooth, *, card=None, profiles=(), of=None):
        self.card, self.profiles, self._change, self._of = card or IDENTITY, profiles, change, of

    def run(self, batch, strength=None):
        ramp = np.linspace(0.5, 1, batch.shape[3], dtype=np.float32)  # of the tile, so that blends and tiles show
        smooth = self._of.run(batch) if self._of else batch * (ramp if strength is None else ramp * strength)
        return self._change(batch, smooth)

    def close(self):
        pass


class Tiled(Changed):
    """The same with tiles of its own: a stand-in for the GPU, with one mistake."""

    mistake = ""

    def smooth_tiled(self, frame, out, tile, step, blend, *, strength=None, mix, progress=None):
        blend = "uniform" if self.mistake == "blend" else blend
        mix = 1 if self.mistake == "mix" else mix
        tile = min(tile, 64) if self.mistake == "tile" else tile
        network = self.run

        def mixed(batch, *strengths):
            return batch + np.float32(mix) * (np.clip(network(batch, *strengths), 0, 1) - batch)

        strength = 0.7 if self.mistake == "map" else strength
        result = smooth_tiled(mixed, frame, tile, min(tile, step), blend, channels=3, strength=strength)
        if self.mistake == "shift":
            result = np.roll(result, 1, axis=1)
        if self.mistake == "grey" and frame.shape[2] == 1:
            result = result * frame.dtype.type(0)
        if self.mistake == "nan" and frame.dtype.kind == "f":
            result[5, 5] = np.nan
        if self.mistake == "cut off" and frame.dtype.kind == "u":
            result = np.where(result > 0, result - 1, 0).astype(frame.dtype)
        out[...] = result


@pytest.mark.parametrize("mistake", ["", "blend", "mix", "tile", "shift", "grey", "nan", "cut off"])
def test_every_mistake_around_the_network_is_seen(mistake):
    backend = Tiled()
    backend.mistake = mistake
    if not mistake:
        assert same.compare_pipelines(backend, "fp32")["settings"] == 96
        return
    with pytest.raises(Wrong, match="settings differ"):
        same.compare_pipelines(backend, "fp32")


def test_an_adjustable_network_is_compared_at_a_map_of_strengths():
    backend = Tiled(card=replace(IDENTITY, strength={"least": 0.5, "most": 1.0, "default": 0.7, "unit": "times"}))
    assert same.compare_pipelines(backend, "fp32")["settings"] == 96
    backend.mistake = "map"
    with pytest.raises(Wrong, match="96 of 96 settings differ"):
        same.compare_pipelines(backend, "fp32")


def test_a_backend_without_tiles_on_the_device_proves_nothing_of_them():
    with pytest.raises(Wrong, match="no tiles"):
        same.compare_pipelines(Changed(), "fp32")


@pytest.mark.parametrize(
    ("precision", "by", "passes"),
    [
        ("fp32", 0.9e-4, True),
        ("fp32", 2e-4, False),
        ("fp16", 2e-4, True),
        ("fp16", 9e-3, False),
        ("fp16", np.nan, False),
    ],
)
def test_parity_fails_where_one_size_is_off(tiny, precision, by, passes):
    folder, _ = tiny
    right = OrtBackend(Lab(folder).onnx(ORT))
    large = Changed(
        lambda _, smooth: smooth + np.float32(by if smooth.shape[2] == 60 else 0), of=right, card=right.card
    )
    reference = read_reference(folder / "tiny.npz")
    if passes:
        assert same.compare_with_pytorch(large, reference, precision)["max_abs"] >= by / 2
        return
    with pytest.raises(Wrong, match=r"2 of 6 .* photograph 1x60x90 whole") as caught:
        same.compare_with_pytorch(large, reference, precision)
    assert len(caught.value.figures["rows"]) == 2


def test_parity_over_no_size_at_all_fails(tiny):
    folder, _ = tiny
    small = Changed(profiles=[((1, 16, 16), (1, 16, 16), (1, 16, 16))])
    with pytest.raises(Wrong, match="no size"):
        same.compare_with_pytorch(small, read_reference(folder / "tiny.npz"), "fp32")


def test_threads_that_disturb_each_other_are_seen():
    def disturbed(_batch, smooth):
        return smooth if current_thread() is main_thread() else smooth + np.float32(0.01)

    assert same.compare_threads(Changed(), "fp16", jobs=18)["max_abs"] == 0
    with pytest.raises(Wrong, match="of 18 results"):
        same.compare_threads(Changed(disturbed), "fp16", jobs=18)


def test_another_backend_with_other_pictures_is_seen():
    assert same.compare_with_host(Changed(), Changed(), "fp16")["RGB equal"] == 1
    off = Changed(lambda _, smooth: smooth + np.float32(4 / 255))
    with pytest.raises(Wrong, match="up to [45] levels"):
        same.compare_with_host(off, Changed(), "fp16")


def test_a_convolution_on_the_cpu_is_seen_in_onnx_runtimes_own_profile(tiny, tmp_path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
    session = open_session(onnxruntime, Lab(tiny[0]).onnx(ORT), options, [CPU])
    session.run(["smooth"], {"image": np.zeros((1, 3, 32, 32), np.float32)})
    path = Path(session.end_profiling())
    with pytest.raises(Wrong, match="not on the GPU: .*MultiHeadAttention"):
        speed.read_profile(path)
    path.write_text(path.read_text().replace(CPU, "CUDAExecutionProvider"))
    assert {row["provider"] for row in speed.read_profile(path)["rows"]} == {"CUDA"}
