"""The kernels against the host's own arithmetic, bit for bit, on strides, sizes and types of every kind."""

import importlib.util
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pnen_runtime.cuda
from pnen_runtime.border import MARGIN
from pnen_runtime.cuda import BLOCK, blocks
from pnen_runtime.cuda.tiles import KINDS_OF_BORDER
from pnen_runtime.image import LUMA, from_batch, to_batch
from pnen_runtime.tiles import smooth_tiled, starts, tile_weights

KINDS = {"u8": "uint8", "u16": "uint16", "f16": "float16", "f32": "float32", "f64": "float64"}
FOLDER = Path(pnen_runtime.cuda.__file__).parent
many = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
kinds, sides, seeds = st.sampled_from(sorted(KINDS)), st.integers(1, 70), st.integers(0, 2**32 - 1)


class Device:
    """Arrays that go to the GPU, are worked on there, and come back."""

    def __init__(self, cuda):
        self.cuda, self.stream, self.pointers = cuda, cuda.stream(), []

    def put(self, array):
        array = np.ascontiguousarray(array)
        self.pointers.append(self.cuda.allocate(max(1, array.nbytes)))
        self.cuda.upload(self.pointers[-1], array, self.stream)
        return self.pointers[-1]

    def get(self, pointer, like):
        back = np.empty_like(like)
        self.cuda.download(back, pointer, self.stream)
        self.cuda.synchronize(self.stream)
        return back

    def launch(self, kernel, grid, *arguments):
        self.cuda.launch(kernel, grid, BLOCK, arguments, self.stream)

    def free(self):
        for pointer in self.pointers:
            self.cuda.free(pointer)


@pytest.fixture
def device(cuda):
    with cuda.active():
        yield Device(cuda)


def pixels(rng, kind, shape):
    dtype = np.dtype(KINDS[kind])
    if dtype.kind == "u":
        return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    values = rng.normal(0.5, 0.4, shape)
    values.ravel()[::7] = rng.choice([0, -0.0, 1, 1e-9, 6e-5, 65504, -1e-40, 0.5 + 2**-12], values.ravel()[::7].shape)
    return values.astype(dtype)


def layout(rng, array):
    """The same values in another layout: (what is in memory, the view, bytes from the start of memory to the view)."""
    order = rng.permutation(array.ndim)
    signs = [slice(None, None, int(sign)) for sign in rng.choice([-1, 1], array.ndim)]
    gaps = rng.integers(0, 3, array.ndim)
    memory = np.zeros([array.shape[axis] + gaps[axis] for axis in order], array.dtype)
    view = memory.transpose(np.argsort(order))[tuple(slice(0, side) for side in array.shape)][tuple(signs)]
    view[...] = array
    return memory, view, view.__array_interface__["data"][0] - memory.__array_interface__["data"][0]


def ints(*values):
    return [np.int32(value) for value in values]


@many
@given(kind=kinds, height=sides, width=sides, data=st.data(), seed=seeds)
def test_cut_gives_the_batches_of_the_host(device, kind, height, width, data, seed):
    rng = np.random.default_rng(seed)
    given_channels, channels = data.draw(st.sampled_from([(1, 1), (1, 3), (3, 3)]))
    high, wide = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    step = data.draw(st.integers(1, wide))
    border = data.draw(st.sampled_from(sorted(KINDS_OF_BORDER)))
    above, beside = (data.draw(st.integers(0, min(MARGIN, side - 1))) if border else 0 for side in (height, width))
    broad, top = width + 2 * beside, data.draw(st.integers(-above, height + above - high))
    columns = starts(broad, wide, step)
    first = data.draw(st.integers(0, len(columns) - 1))
    count = data.draw(st.integers(1, min(4, len(columns) - first)))
    memory, image, offset = layout(rng, pixels(rng, kind, (height, width, given_channels)))

    mode = {"": "edge"}.get(border, border)
    whole = np.pad(image, ((above, above), (beside, beside), (0, 0)), mode)[above + top : above + top + high]
    expected = np.concatenate([to_batch(whole[:, left : left + wide], channels)
                               for left in columns[first : first + count]])  # fmt: skip
    batch = device.put(np.full_like(expected, np.nan))
    strides = [np.int64(stride) for stride in image.strides]
    device.launch(f"cut_{kind}", blocks(wide, high, count * channels), np.uint64(device.put(memory) + offset), *strides,
                  *ints(given_channels), np.uint64(batch),
                  *ints(count, channels, high, wide, top, first, step, broad, KINDS_OF_BORDER[border], height, width,
                        beside))  # fmt: skip
    np.testing.assert_array_equal(device.get(batch, expected), expected)
    device.free()
    device.pointers.clear()


def luma(values):
    """What `values @ LUMA` is when nothing is fused and the sum goes from left to right."""
    red, green, blue = (values[..., channel] * LUMA[channel] for channel in range(3))
    return ((red + green) + blue)[..., None]


@many
@given(kind=kinds, high=sides, width=sides, data=st.data(), seed=seeds)
def test_put_rounds_as_the_host_and_clears_what_it_read(device, kind, high, width, data, seed):
    rng = np.random.default_rng(seed)
    given_channels, channels = data.draw(st.sampled_from([(1, 1), (1, 3), (3, 3)]))
    begin, rows = data.draw(st.integers(0, 100)), data.draw(st.integers(1, high))
    ring = rng.normal(0.5, 0.4, (channels, high, width)).astype(np.float32)
    ring.ravel()[::3] = np.float32(rng.integers(0, 511, ring.ravel()[::3].shape) / 510)  # halves between two bytes
    above, beside = data.draw(st.integers(0, begin)), data.draw(st.integers(0, (width - 1) // 2))
    below = data.draw(st.integers(0, rows - 1))  # rows that are beyond the picture
    columns = slice(beside, width - beside)
    shape = begin + rows - above - below, width - 2 * beside, given_channels
    memory, image, offset = layout(rng, pixels(rng, kind, shape))

    slots = np.arange(begin, begin + rows) % high
    expected, strip = image.copy(), ring[:, slots]
    grey = given_channels == 1 and channels == 3
    values = luma(strip.transpose(1, 2, 0)).transpose(2, 0, 1) if grey else strip
    shown = slice(begin - above, None), slice(0, rows - below)
    from_batch(values[None, :, shown[1], columns], expected[None, shown[0]])
    by_blas = image.copy()
    from_batch(strip[None, :, shown[1], columns], by_blas[None, shown[0]])
    cleared = ring.copy()
    cleared[:, slots] = 0

    band, out = device.put(ring), device.put(memory)
    device.launch(f"put_{kind}", blocks(width, rows), np.uint64(band), np.uint64(out + offset),
                  *[np.int64(stride) for stride in image.strides],
                  *ints(channels, given_channels, high, width, begin, rows, above, beside, *shape[:2]))  # fmt: skip
    image[...] = expected
    np.testing.assert_array_equal(device.get(out, memory), memory)  # gaps between the pixels included
    np.testing.assert_array_equal(device.get(band, ring), cleared)
    if expected.dtype.kind == "u":
        assert np.abs(expected.astype(int) - by_blas.astype(int)).max() <= grey
    else:
        np.testing.assert_allclose(expected, by_blas, atol=1e-3 if kind == "f16" else 1e-6)
    device.free()
    device.pointers.clear()


@many
@given(height=sides, width=sides, data=st.data(), seed=seeds, blend=st.sampled_from(["feather", "uniform"]),
       mix=st.sampled_from([1.0, 0.3, 0.0]), channels=st.sampled_from([1, 3]))  # fmt: skip
def test_a_whole_picture_is_that_of_the_host(device, height, width, data, seed, blend, mix, channels):
    rng = np.random.default_rng(seed)
    tile = data.draw(st.integers(1, 70))
    step = data.draw(st.integers(max(1, tile // 4), tile))
    at_once = data.draw(st.integers(1, 4))
    image = pixels(rng, "f32", (height, width, channels))
    factor = rng.normal(1, 1, 1).astype(np.float32)[0]

    def network(batch):  # each tile by another rule, so that the order and the place of tiles matter
        return batch * factor + batch[..., ::-1, :] - batch[:, :, :, :1]

    def run(batch):
        smooth = network(batch)
        return smooth if mix == 1 else batch + np.float32(mix) * (np.clip(smooth, 0, 1) - batch)

    expected = smooth_tiled(run, image, tile, step, blend, channels=channels, batch=at_once)

    rows, columns = starts(height, tile, step), starts(width, tile, step)
    high, wide = min(tile, height), min(tile, width)
    row_weights = tile_weights(rows, high, height, step, blend)
    column_weights = device.put(np.stack(tile_weights(columns, wide, width, step, blend)))
    source, out = device.put(image), device.put(np.zeros_like(image))
    band, bad = device.put(np.zeros((channels, high, width), np.float32)), device.put(np.zeros(1, np.int32))
    strides = [np.int64(stride) for stride in image.strides]
    for row, (top, below) in enumerate(itertools.pairwise([*rows, height])):
        weights = device.put(row_weights[row])
        for first in range(0, len(columns), at_once):
            count = min(at_once, len(columns) - first)
            like = np.empty((count, channels, high, wide), np.float32)
            batch = device.put(like)
            place = ints(count, channels, high, wide, top, first, step, width)
            device.launch("cut_f32", blocks(wide, high, count * channels), np.uint64(source), *strides, *ints(channels),
                          np.uint64(batch), *place, *ints(0, height, width, 0))  # fmt: skip
            smooth = device.put(network(device.get(batch, like)))
            addresses = map(np.uint64, (batch, smooth, band, weights, column_weights))
            device.launch("blend", blocks(width, high, channels), *addresses, np.float32(mix), np.uint64(bad),
                          *place)  # fmt: skip
        device.launch("put_f32", blocks(width, below - top), np.uint64(band), np.uint64(out), *strides,
                      *ints(channels, channels, high, width, top, below - top, 0, 0, height, width))  # fmt: skip
    np.testing.assert_array_equal(device.get(out, image), expected)
    assert device.get(bad, np.zeros(1, np.int32))[0] == 0
    device.free()
    device.pointers.clear()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_told(device, value):
    values = np.full((1, 1, 20, 20), 0.5, np.float32)
    ones = device.put(np.ones(20, np.float32))
    for place in ((0, 0), (19, 19), None):
        smooth = values.copy()
        if place:
            smooth[(0, 0, *place)] = value
        band, bad = device.put(np.zeros_like(values)), device.put(np.zeros(1, np.int32))
        addresses = map(np.uint64, (device.put(values), device.put(smooth), band, ones, ones))
        device.launch("blend", blocks(20, 20), *addresses, np.float32(1), np.uint64(bad),
                      *ints(1, 1, 20, 20, 0, 0, 20, 20))  # fmt: skip
        assert device.get(bad, np.zeros(1, np.int32))[0] == (place is not None)


@pytest.fixture(scope="module")
def make_ptx():
    """The module that makes the PTX."""
    spec = importlib.util.spec_from_file_location("make_ptx", Path(__file__).with_name("make_ptx.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_ptx_is_made_from_this_source(make_ptx):
    source, ptx = (FOLDER / "pixels.cu").read_text("utf-8"), (FOLDER / "pixels.ptx").read_text("utf-8")
    assert ptx.startswith(make_ptx.head(source)), "make it again: see the head of pixels.cu"
    nvrtc = make_ptx.find_nvrtc()
    if nvrtc is not None:
        made = make_ptx.compile_ptx(nvrtc, source)
        if made.splitlines()[:6] == ptx.splitlines()[1:7]:  # the same compiler
            assert make_ptx.head(source) + made == ptx


def test_the_ptx_loads_on_old_drivers_and_fuses_nothing():
    ptx = (FOLDER / "pixels.ptx").read_text()
    version, target = re.search(r"^\.version (.*)\n\.target (.*)$", ptx, re.MULTILINE).groups()
    assert tuple(map(int, version.split("."))) <= (7, 8)  # CUDA 11.8
    assert target == "sm_75"
    assert "fma." not in ptx and "mad.f" not in ptx and ".ftz" not in ptx and ".approx" not in ptx
    assert {f"{what}_{kind}" for what in ("cut", "cut_strength", "put") for kind in KINDS} | {"blend"} == set(
        re.findall(r"\.visible \.entry (\w+)\(", ptx)
    )
