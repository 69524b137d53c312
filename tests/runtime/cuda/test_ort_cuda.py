"""ONNX Runtime's CUDA provider, played by its CPU provider with batches fetched from the device (or the stand-in)."""

import inspect
import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from pnen_runtime import BackendMissing, EngineError, UsageError
from pnen_runtime.backends.ort_cuda import open_ort_cuda
from pnen_runtime.tiles import smooth_tiled

SETTINGS = {"device_id", "user_compute_stream", "arena_extend_strategy", "cudnn_conv_algo_search", "use_tf32"}


class Session:
    """An `onnxruntime.InferenceSession` that says it runs on CUDA."""

    works = True

    def __init__(self, path, options, providers, cuda, **settings):
        assert settings == {"enable_fallback": False}
        self.on_cuda = providers[0] != "CPUExecutionProvider"
        if self.on_cuda:
            (name, given), cpu = providers
            assert (name, cpu, set(given)) == ("CUDAExecutionProvider", "CPUExecutionProvider", SETTINGS)
            assert all(isinstance(value, str) for value in given.values())
            self.lane, self.stream = int(given["user_compute_stream"]), cuda.stream()
        self.cuda, self.session = cuda, onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        for name in ("get_modelmeta", "get_inputs", "get_outputs"):
            setattr(self, name, getattr(self.session, name))

    def get_providers(self):
        return ["CUDAExecutionProvider"] * (self.on_cuda and Session.works) + ["CPUExecutionProvider"]

    def io_binding(self):
        bound = {}

        def bind(name, device_type, device_id, element_type, shape, buffer_ptr):
            assert (device_type, device_id, element_type) == ("cuda", 0, np.float32)
            bound[name] = (tuple(shape), buffer_ptr)

        return SimpleNamespace(bind_input=bind, bind_output=bind, bound=bound)

    def run_with_iobinding(self, binding):
        _, smooth = binding.bound.pop("smooth")
        given = {name: np.empty(shape, np.float32) for name, (shape, _) in binding.bound.items()}
        self.cuda.wait_for(self.stream, self.lane)
        for name, (_, address) in binding.bound.items():
            self.cuda.download(given[name], address, self.stream)
        self.cuda.synchronize(self.stream)
        (result,) = self.session.run(["smooth"], given)
        self.cuda.upload(smooth, result, self.stream)
        self.cuda.synchronize(self.stream)


@pytest.fixture
def opened(cuda, monkeypatch, model):
    """opened(kind of model) → its backend on an ONNX Runtime that has CUDA."""
    backends = []
    names = ("SessionOptions", "GraphOptimizationLevel", "__version__")
    module = SimpleNamespace(**{name: getattr(onnxruntime, name) for name in names})
    module.get_available_providers = lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    module.preload_dlls = lambda: print("libcublas.so.13: not found")
    module.InferenceSession = lambda path, options, providers, **more: Session(path, options, providers, cuda, **more)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    monkeypatch.setattr(cuda, "close", lambda: None)  # the fixture closes it
    monkeypatch.setattr(Session, "works", True)

    def open_one(kind: str = "invert"):
        backends.append(open_ort_cuda(model(kind), cuda=cuda))
        return backends[-1]

    yield open_one
    for backend in backends:
        backend.close()


def test_the_real_binding_takes_these_arguments():
    for name in ("bind_input", "bind_output"):
        function = getattr(onnxruntime.IOBinding, name)
        assert list(inspect.signature(function).parameters)[1:7] == [
            "name", "device_type", "device_id", "element_type", "shape", "buffer_ptr"
        ]  # fmt: skip


def test_batches_and_pictures_come_out_as_on_the_cpu(opened):
    backend = opened()
    batch = np.random.default_rng(0).random((2, 3, 37, 53), np.float32)
    np.testing.assert_array_equal(backend.run(batch), 1 - batch)
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    backend.smooth_tiled(image, found := np.empty_like(image), 32, 20, "feather")
    np.testing.assert_array_equal(found, smooth_tiled(lambda batch: 1 - batch, image, 32, 20))
    assert "onnxruntime-cuda" in backend.info and backend.card.tile == 32


def test_an_adjustable_file_gets_numbers_maps_and_batches_of_strengths(opened, answers):
    backend, random, scaled = opened("dim"), np.random.default_rng(2), answers["dim"]
    image = random.integers(0, 256, (90, 120, 3), np.uint8)
    for strength in (0.05, 0.2, random.uniform(0.002, 0.2, (90, 120)).astype(np.float32), 0.05, None):
        backend.smooth_tiled(image, found := np.empty_like(image), 32, 20, "feather", strength=strength)
        expected = smooth_tiled(scaled, image, 32, 20, strength=0.02 if strength is None else strength)
        np.testing.assert_array_equal(found, expected)
    batch, strengths = random.random((2, 3, 37, 53), np.float32), random.random((2, 1, 37, 53), np.float32)
    np.testing.assert_array_equal(backend.run(batch, strengths), scaled(batch, strengths))
    assert len(backend.device_milliseconds((2, 37, 53), 2)) == 2
    np.testing.assert_allclose(backend.run(batch), 0.02 * batch, rtol=1e-6)
    with pytest.raises(UsageError, match=r"expected strengths of shape \(2, 1, 37, 53\)"):
        backend.run(batch, strengths[:1])


def test_a_provider_that_does_not_load_is_no_reason_to_take_the_cpu(opened, monkeypatch):
    monkeypatch.setattr(Session, "works", False)
    with pytest.raises(BackendMissing, match=r"asked for CUDA.*libcublas.so.13: not found; install it instead"):
        opened()


def test_what_the_session_refuses_is_one_line(opened):
    with pytest.raises(EngineError, match=r"cannot run a batch of shape \(1, 2, 20, 20\)"):
        opened().run(np.zeros((1, 2, 20, 20), np.float32))
