"""Pictures and CUDA arrays through an engine's tiles on the device, on the stand-ins of test_trt.py."""

import numpy as np
import pytest

from pnen_runtime import EngineError, ImageError, Smoother
from pnen_runtime.cuda.driver import first_gpu
from pnen_runtime.tiles import smooth_tiled

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


@pytest.mark.parametrize("grid", [2, 3])
@pytest.mark.parametrize(("tile", "step", "blend"), [(32, 20, "inner"), (31, 31, "uniform"), (32, 9, "feather")])
def test_tiles_of_coarse_grids_are_those_of_the_host(opened, grid, tile, step, blend):
    backend, _ = opened(config={"grid": grid})
    for height, width in [(75, 101), (20, 64), (32, 130)]:
        image = RANDOM.random((height, width, 3)).astype(np.float32)
        expected, found = smooth_tiled(flip, image, tile, step, blend, grid=grid), np.empty_like(image)
        backend.smooth_tiled(image, found, tile, step, blend)
        assert_same(found, expected)
        assert not np.array_equal(expected, smooth_tiled(flip, image, tile, step, blend)) or height != 75


@pytest.mark.parametrize("border", ["wrap", "reflect"])
@pytest.mark.parametrize(("tile", "step", "blend"), [(32, 20, "inner"), (64, 48, "feather"), (50, 30, "inner")])
def test_what_lies_beyond_the_border_is_that_of_the_host(opened, border, tile, step, blend):
    backend, _ = opened(config={"grid": 2}, border=border)
    for height, width in [(75, 101), (20, 64), (64, 130)]:
        image = (255 * RANDOM.random((height, width, 3))).astype(np.uint8)
        expected = smooth_tiled(flip, image, tile, step, blend, grid=2, border=border)
        backend.smooth_tiled(image, found := np.empty_like(image), tile, step, blend)
        assert_same(found, expected)
        assert not np.array_equal(expected, smooth_tiled(flip, image, tile, step, blend, grid=2)) or height != 75


@pytest.mark.parametrize("mix", [0, 0.3, 1])
def test_a_smoother_on_the_device_gives_what_one_on_the_host_gives(opened, mix):
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
        expected = Smoother("flip", backend=OnHost()).run(image, mix=mix)
        found = Smoother("flip", backend=backend).run(image, mix=mix)
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


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("part", [slice(None), slice(10, None)])
def test_a_cuda_array_of_another_gpu_is_refused(opened, cuda, stand_in, version, part):
    backend, _ = opened()
    with cuda.active():
        given = OnDevice(cuda, np.zeros((50, 70, 3), np.uint8)[part])
        given.__cuda_array_interface__["version"] = version
        assert Smoother("flip", backend=backend).run(given).shape == given.__cuda_array_interface__["shape"]
        stand_in.number(1)
        with pytest.raises(ImageError, match="expected an array on the first GPU, got GPU 1; move it there"):
            Smoother("flip", backend=backend).run(given)
        cuda.free(given.pointer)


def test_a_cuda_array_whose_memory_the_driver_does_not_know_is_refused(opened, cuda):
    backend, _ = opened()
    with cuda.active():
        given = OnDevice(cuda, np.zeros((50, 70, 3), np.uint8))
        cuda.free(given.pointer)
        given.__cuda_array_interface__["data"] = (4096, False)
        with pytest.raises(
            ImageError, match="cannot be shared: cuPointerGetAttribute failed: CUDA_ERROR_INVALID_VALUE"
        ):
            Smoother("flip", backend=backend).run(given)


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


@pytest.mark.skipif(first_gpu() is not None, reason="a GPU has room")
def test_without_room_the_error_says_how_much_was_wanted(opened, stand_in):
    backend, _ = opened()
    huge = np.broadcast_to(np.float32(0), (30_000, 30_000, 3))
    with pytest.raises(MemoryError, match="MB"):
        backend.smooth_tiled(huge, huge, 32, 20, "feather")


def test_lack_of_memory_halves_the_batch_and_goes_on(opened, caplog, monkeypatch):
    backend, _ = opened()
    kind, asked = type(backend._cuda), []
    allocate = kind.allocate

    def little(self, size):
        if size > 7_000_000:  # the scratch memory of a tile is 3.1 MB
            asked.append(size)
            raise MemoryError(f"expected {size} bytes free")
        return allocate(self, size)

    monkeypatch.setattr(kind, "allocate", little)
    image = RANDOM.integers(0, 256, (75, 101, 3), np.uint8)
    expected, found = smooth_tiled(flip, image, 32, 20), np.empty_like(image)
    backend.smooth_tiled(image, found, 32, 20, "feather")
    assert_same(found, expected)
    assert "going on with 2 tiles at once" in caplog.text and len(asked) == 1
    backend.smooth_tiled(image, found := np.empty_like(image), 32, 20, "feather")
    assert_same(found, expected)
    assert len(asked) == 1  # the larger batch is not tried again


def test_where_one_tile_is_too_much_the_tile_is_halved(opened, caplog, monkeypatch):
    backend, _ = opened()
    kind = type(backend._cuda)
    allocate = kind.allocate

    def little(self, size):
        if size > 4_000_000:  # the scratch memory of the whole picture is 12.6 MB
            raise MemoryError(f"expected {size} bytes free")
        return allocate(self, size)

    monkeypatch.setattr(kind, "allocate", little)
    monkeypatch.setattr("pnen_runtime.smoother.LEAST_TILE", 32)
    image = RANDOM.integers(0, 256, (60, 70, 3), np.uint8)
    with Smoother("flip", backend=backend, tile="whole") as smoother:
        assert smoother.plan(60, 70).tiles == 1
        found = smoother.run(image)
        plan = smoother.plan(60, 70)
    assert "going on with tiles of 35, whose result may differ" in caplog.text and plan.tile == 35 and plan.gpu_bytes
    assert_same(found, smooth_tiled(flip, image, plan.tile, plan.step))
