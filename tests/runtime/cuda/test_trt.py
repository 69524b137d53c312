"""The backend of engines on a stand-in for TensorRT and, without a GPU, one for the driver: see their own words."""

import sys
import threading

import numpy as np
import pytest

from pnen_runtime import Card, EngineError, ImageError, PnenError, Smoother
from pnen_runtime.backends import trt
from pnen_runtime.backends.trt import SHAPES, open_trt
from pnen_runtime.cuda.driver import first_gpu
from pnen_runtime.engine_file import EngineFile
from pnen_runtime.tiles import smooth_tiled

from .stand_in_tensorrt import ENGINES, make_module

TILES, WHOLE = [(1, 3, 16, 16), (4, 3, 32, 32), (4, 3, 32, 32)], [(1, 3, 16, 16), (1, 3, 64, 80), (1, 3, 64, 80)]
RANDOM = np.random.default_rng(0)


def flip(batch):
    return batch[:, :, ::-1]


def assert_same(found, expected):
    """Colours bit for bit; grey is a sum of three that numpy takes in another order, so a rounding apart."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if found.ndim > 2 and found.shape[-1] >= 3:
        np.testing.assert_array_equal(found, expected)
    elif found.dtype.kind == "u":
        apart = np.abs(found.astype(int) - expected)
        assert apart.max() <= 1 and np.mean(apart > 0) < 0.05
    else:
        np.testing.assert_allclose(found, expected, atol=1e-3 if found.dtype == np.float16 else 2e-7)


@pytest.fixture
def opened(cuda, monkeypatch, tmp_path):
    """opened(kind of TensorRT, plan=..., **engine fields) → backend and the stand-in module."""
    backends = []

    def open_one(kind: str = "tensorrt 10", plan: bytes = b"ptrt", dtype: str = "float32", sizes=(TILES, WHOLE)):
        module = make_module(kind, cuda, list(sizes), "10.9.0.34", dtype)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(cuda, "close", lambda: None)  # the fixture closes it
        flavour = "rtx" if "rtx" in kind else "tensorrt"
        card = Card(network="flip", task={"filter": "none"}, tile=32, tile_step=20,
                    engine={"flavour": flavour, "version": "10.9.0.34"})  # fmt: skip
        backend = open_trt(EngineFile(tmp_path / "model.engine", plan, card), cuda=cuda)
        backends.append(backend)
        return backend, module

    yield open_one
    for backend in backends:
        backend.close()


@pytest.mark.parametrize("kind", ENGINES)
def test_the_network_answers_at_every_size_again_and_again(opened, kind):
    backend, _ = opened(kind)
    for shape in [(1, 3, 16, 16), (4, 3, 32, 32), (1, 3, 64, 80), (3, 3, 20, 31)] * 3:
        batch = RANDOM.random(shape, np.float32)
        np.testing.assert_array_equal(backend.run(batch), flip(batch))
    assert backend.profiles == (((1, 16, 16), (4, 32, 32), (4, 32, 32)), ((1, 16, 16), (1, 64, 80), (1, 64, 80)))


@pytest.mark.parametrize("kind", ["tensorrt 8.6", "tensorrt 10"])
def test_from_its_second_use_on_a_shape_is_one_cuda_graph(opened, kind):
    backend, module = opened(kind)
    batch = RANDOM.random((2, 3, 24, 24), np.float32)
    for _ in range(6):
        np.testing.assert_array_equal(backend.run(batch), flip(batch))
    (context,) = module.made[0].contexts
    assert context.executions == 2  # once to run, once to be captured
    larger = RANDOM.random((4, 3, 32, 32), np.float32)  # buffers grow, so the first graph's addresses are gone
    for given in (larger, batch, larger, batch, batch):
        np.testing.assert_array_equal(backend.run(given), flip(given))


def test_rtx_keeps_its_own_graphs_and_its_kernels_in_a_file(opened, tmp_path):
    backend, module = opened("tensorrt_rtx")
    batch = RANDOM.random((2, 3, 24, 24), np.float32)
    for _ in range(3):
        backend.run(batch)
    assert module.made[0].contexts[0].executions == 3
    backend.close()
    assert (tmp_path / "model.engine.kernels").read_bytes() == b"."
    opened("tensorrt_rtx")[0].close()
    assert (tmp_path / "model.engine.kernels").read_bytes() == b".."


def test_contexts_of_shapes_long_unused_serve_new_ones(opened):
    backend, module = opened()
    for round_ in range(2):
        for width in range(16, 16 + 2 * SHAPES):
            batch = RANDOM.random((1, 3, 20, width), np.float32)
            for _ in range(1 + round_):
                np.testing.assert_array_equal(backend.run(batch), flip(batch))
    assert len(module.made[0].contexts) == SHAPES


def test_threads_have_lanes_of_their_own(opened):
    backend, _ = opened()
    wrong = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(8):
            batch = random.random((int(random.integers(1, 5)), 3, 24, int(random.integers(16, 33))), np.float32)
            if not np.array_equal(backend.run(batch), flip(batch)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2 * trt.LANES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_closing_waits_for_the_thread_that_runs(opened):
    backend, _ = opened()
    order, begun, go_on = [], threading.Event(), threading.Event()

    def work() -> None:
        with backend.lanes.lend() as lane:
            begun.set()
            go_on.wait(10)
            batch = RANDOM.random((1, 3, 20, 20), np.float32)
            order.append("run" if np.array_equal(lane.run(batch), flip(batch)) else "wrong")

    def close() -> None:
        backend.close()
        order.append("closed")

    threads = [threading.Thread(target=work), threading.Thread(target=close)]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    threads[1].join(0.2)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert order == ["run", "closed"]
    with pytest.raises(PnenError, match="closed"):
        backend.run(np.zeros((1, 3, 20, 20), np.float32))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("tile", "step", "blend"), [(32, 20, "feather"), (32, 32, "uniform"), (24, 9, "feather"),
                                                     (30, 1 + 16, "uniform")])  # fmt: skip
def test_tiles_on_the_device_are_the_tiles_of_the_host(opened, dtype, channels, tile, step, blend):
    backend, _ = opened()
    for height, width in [(75, 101), (20, 64), (16, 16), (32, 130)]:
        values = RANDOM.random((height, width, channels))
        image = values.astype(dtype) if "float" in dtype else (values * np.iinfo(dtype).max).astype(dtype)
        expected, found = smooth_tiled(flip, image, tile, step, blend), np.empty_like(image)
        seen: list[tuple[int, int]] = []
        backend.smooth_tiled(image, found, tile, step, blend, progress=lambda *now, seen=seen: seen.append(now))
        assert_same(found, expected)
        assert seen == sorted(seen) and seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("strength", [0, 0.3, 1])
def test_a_smoother_on_the_device_gives_what_one_on_the_host_gives(opened, strength):
    backend, _ = opened()

    class OnHost:
        name, card, info, run, close = "host", backend.card, "host", staticmethod(flip), staticmethod(lambda: None)

    for shape, dtype in [
        ((70, 90), np.uint8),
        ((70, 90, 4), np.uint8),
        ((2, 40, 90, 3), np.uint16),
        ((33, 34, 1), ">f4"),
    ]:
        values = RANDOM.random(shape)
        image = values.astype(dtype) if np.dtype(dtype).kind == "f" else (values * np.iinfo(dtype).max).astype(dtype)
        expected = Smoother("flip", backend=OnHost()).run(image, strength=strength)
        found = Smoother("flip", backend=backend).run(image, strength=strength)
        assert found.dtype == expected.dtype
        assert_same(found, expected)
    assert "tiles of 32 at step 20 (recommended" in str(Smoother("flip", backend=backend).info)


class OnDevice:
    """Another library's array: values in device memory, in any layout."""

    def __init__(self, cuda, values):
        self.cuda, base = cuda, values if values.base is None else values.base
        self.pointer = cuda.allocate(base.nbytes)
        stream = cuda.stream()
        cuda.upload(self.pointer, base.ravel(order="K"), stream)  # as it lies in memory
        self.__cuda_array_interface__ = {
            "version": 3, "shape": values.shape, "typestr": values.dtype.str, "strides": values.strides,
            "data": (self.pointer + values.ctypes.data - base.ctypes.data, False), "stream": stream.handle,
        }  # fmt: skip


def fetch(cuda, array):
    values, stream = np.empty(array.shape, array.dtype), cuda.stream()
    cuda.download(values, array.pointer, stream)
    cuda.synchronize(stream)
    return values


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32])
def test_a_cuda_array_comes_back_as_one_without_a_copy_on_the_host(opened, cuda, dtype):
    backend, _ = opened()
    smoother = Smoother("flip", backend=backend)
    white = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    planar = (RANDOM.random((3, 50, 70)) * white).astype(dtype)
    for values in (planar.transpose(1, 2, 0), planar[0], np.stack([planar[:, ::-1, ::2].transpose(1, 2, 0)] * 2)):
        with cuda.active():
            given = OnDevice(cuda, values)
            result = smoother.run(given)
            assert_same(fetch(cuda, result), smoother.run(np.ascontiguousarray(values)))
            assert result.shape == values.shape and result.dtype == values.dtype
            cuda.free(given.pointer)
        del result


@pytest.mark.parametrize(("shape", "dtype", "says"), [((50, 70, 4), np.uint8, "alpha is not taken"),
                                                      ((50, 70, 3), np.int32, "got int32"),
                                                      ((3, 8, 70), np.uint8, "channels come last"),
                                                      ((8, 70, 3), np.uint8, "at least 16 pixels")])  # fmt: skip
def test_a_cuda_array_that_is_no_picture_is_refused(opened, cuda, shape, dtype, says):
    backend, _ = opened()
    with cuda.active():
        given = OnDevice(cuda, np.zeros(shape, dtype))
        with pytest.raises(ImageError, match=says):
            Smoother("flip", backend=backend).run(given)
        cuda.free(given.pointer)


def test_a_cuda_array_is_refused_by_a_network_on_the_cpu(cuda):
    with cuda.active(), Smoother("l0") as smoother:
        given = OnDevice(cuda, np.zeros((50, 70, 3), np.uint8))
        with pytest.raises(ImageError, match="runs on the CPU"):
            smoother.run(given)
        cuda.free(given.pointer)


def test_tiles_that_no_profile_takes_become_smaller_and_that_is_said(opened):
    backend, _ = opened()
    with Smoother("flip", backend=backend, tile=70) as smoother:
        assert "tiles of 64 at step 52" in smoother.info.tiles and "no profile for 70" in smoother.info.tiles
        for size in [(60, 70), (64, 80), (100, 110)]:
            image = RANDOM.random((*size, 3)).astype(np.float32)
            tile, step = {(60, 70): ("whole", None), (64, 80): (70, 58), (100, 110): (64, 52)}[size]
            np.testing.assert_array_equal(smoother.run(image), smooth_tiled(flip, image, tile, step))


def test_not_a_number_is_an_engine_error(opened):
    backend, _ = opened()
    image = np.zeros((40, 40, 3), np.float32)
    image[33, 3] = np.nan
    with pytest.raises(EngineError, match="not numbers"):
        backend.smooth_tiled(image, np.empty_like(image), 32, 20, "feather")
    backend.smooth_tiled(np.zeros_like(image), found := np.ones_like(image), 32, 20, "feather")
    assert not found.any()  # the lane is as good as new


def test_what_tensorrt_refuses_is_one_line_with_its_reason(opened):
    backend, module = opened()
    with pytest.raises(EngineError, match="no profile for 9x32x32"):
        backend.run(np.zeros((9, 3, 32, 32), np.float32))
    backend.run(np.zeros((1, 3, 32, 32), np.float32))
    module.made[0].fails = True
    with pytest.raises(EngineError, match="cannot run it: no luck"):
        backend.run(np.zeros((1, 3, 32, 33 - 2), np.float32))


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"plan": b"ptrt broken"}, "cannot load it: magic tag does not match; build"),
     ({"dtype": "half"}, "expected float32 'image' in")],
)  # fmt: skip
def test_an_engine_that_cannot_be_loaded_says_why(opened, changes, says):
    with pytest.raises(EngineError, match=says):
        opened(**changes)


@pytest.mark.skipif(first_gpu() is not None, reason="a GPU has room")
def test_without_room_the_error_says_how_much_was_wanted(opened, stand_in):
    backend, _ = opened()
    huge = np.broadcast_to(np.float32(0), (30_000, 30_000, 3))
    with pytest.raises(MemoryError, match="MB"):
        backend.smooth_tiled(huge, huge, 32, 20, "feather")
