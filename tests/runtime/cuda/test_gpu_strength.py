"""Strengths of adjustable networks on the device against the host's own way, on the stand-ins of test_trt.py."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from pnen_runtime import EngineError, ImageError, Smoother, UsageError
from pnen_runtime.tiles import smooth_tiled

from .stand_in_tensorrt import ENGINES
from .test_pictures import OnDevice, assert_same, fetch

RANDOM = np.random.default_rng(0)
RANGE = {"least": 0.25, "most": 4.0, "default": 1.5, "unit": "times", "scale": "log"}


def scaled(batch, strength):
    return np.clip(batch[:, :, ::-1], 0, 1) * strength


def some_map(height, width):
    return RANDOM.uniform(0.25, 4, (height, width)).astype(np.float32)


@pytest.fixture
def adjustable(opened):
    """adjustable(kind of TensorRT) → backend and the stand-in module."""
    return lambda kind="tensorrt 10": opened(kind, plan=b"ptrt adjustable", strength=RANGE)


def on_host(card):
    run = staticmethod(scaled)
    return SimpleNamespace(name="host", card=card, info="host", profiles=(), run=run, close=lambda: None)


@pytest.mark.parametrize("kind", ENGINES)
def test_a_batch_has_the_strengths_it_comes_with_also_from_a_cuda_graph(adjustable, kind):
    backend, module = adjustable(kind)
    for shape in [(1, 3, 16, 16), (4, 3, 32, 32), (1, 3, 64, 80), (3, 3, 20, 31)] * 4:
        batch = RANDOM.random(shape, np.float32)
        strengths = RANDOM.random((shape[0], 1, *shape[2:]), np.float32)
        np.testing.assert_array_equal(backend.run(batch, strengths), scaled(batch, strengths))
    if kind != "tensorrt_rtx":  # buffers no longer grow in the second round, and its graphs serve the rest
        assert max(context.executions for context in module.made[0].contexts) <= 3


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize(("tile", "step", "blend"), [(32, 20, "feather"), (24, 24, "uniform")])
def test_a_picture_has_the_strength_asked_for_whatever_the_last_one_had(adjustable, kind, tile, step, blend):
    backend, _ = adjustable(kind)
    for height, width in [(75, 101), (20, 64), (75, 101)]:
        image = RANDOM.integers(0, 256, (height, width, 3), np.uint8)
        for strength in (2, 0.25, 0.25, some_map(height, width), 0.25, some_map(height, width)[::-1], 4.0):
            expected, found = smooth_tiled(scaled, image, tile, step, blend, strength=strength), np.empty_like(image)
            backend.smooth_tiled(image, found, tile, step, blend, strength=strength)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mix", [0.3, 1])
@pytest.mark.parametrize("strength", [None, 3, "a map", "a map of halves"])
def test_a_smoother_on_the_device_gives_what_one_on_the_host_gives(adjustable, strength, mix):
    backend, _ = adjustable()
    for shape in [(70, 90), (2, 40, 90, 3), (70, 90, 4)]:
        image = RANDOM.integers(0, 256, shape, np.uint8)
        wanted = strength
        if isinstance(strength, str):
            wanted = some_map(*(shape[1:3] if len(shape) == 4 else shape[:2]))
            wanted = wanted.astype(">f2") if "halves" in strength else wanted
        found, expected = (
            Smoother("toy", backend=one).run(image, strength=wanted, mix=mix)
            for one in (backend, on_host(backend.card))
        )
        assert_same(found, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_a_map_on_the_gpu_is_cut_there_in_any_layout(adjustable, cuda, dtype):
    backend, _ = adjustable()
    smoother, image = Smoother("toy", backend=backend), RANDOM.random((50, 70, 3), np.float32)
    values = RANDOM.uniform(1, 4, (140, 100)).astype(dtype)
    for strengths in (np.ascontiguousarray(values[:50, :70]), values[::2, ::-2].T):
        with cuda.active():
            given, maps = OnDevice(cuda, image), OnDevice(cuda, strengths)
            result = smoother.run(given, strength=maps)
            assert_same(fetch(cuda, result), smoother.run(image, strength=strengths.astype(np.float32)))
            assert_same(fetch(cuda, smoother.run(given, strength=strengths)), fetch(cuda, result))
            del result
            for one in (given, maps):
                cuda.free(one.pointer)


@pytest.mark.parametrize(
    ("values", "kind", "says"),
    [(np.full((50, 70), 5, np.float32), UsageError, "a map of strengths from 0.25 to 4, got others"),
     (np.full((50, 70), np.nan, np.float32), UsageError, "a map of strengths from 0.25 to 4, got others"),
     (np.where(np.arange(3500).reshape(50, 70) == 3499, 0.2, 1), UsageError, "from 0.25 to 4, got others"),
     (np.ones((70, 50), np.float32), UsageError, "every pixel of 70x50, got a CUDA array"),
     (np.ones((50, 70, 1), np.float32), UsageError, "every pixel of 70x50, got a CUDA array"),
     (np.ones((50, 70), np.int32), ImageError, "expected uint8, uint16, or floats, got int32")],
)  # fmt: skip
def test_a_map_on_the_gpu_that_does_not_fit_is_refused(adjustable, cuda, values, kind, says):
    smoother = Smoother("toy", backend=adjustable()[0])
    with cuda.active():
        given, maps = OnDevice(cuda, np.zeros((50, 70, 3), np.uint8)), OnDevice(cuda, np.ascontiguousarray(values))
        with pytest.raises(kind, match=says):
            smoother.run(given, strength=maps)
        assert not fetch(cuda, smoother.run(given)).any()  # the lane is as good as new
        cuda.free(given.pointer)
        cuda.free(maps.pointer)


def test_a_map_on_the_gpu_goes_with_a_picture_there_and_an_adjustable_network(adjustable, opened, cuda):
    with cuda.active():
        maps, image = OnDevice(cuda, np.ones((50, 70), np.float32)), np.zeros((50, 70, 3), np.uint8)
        with pytest.raises(UsageError, match="the strengths on the host, where the picture is"):
            Smoother("toy", backend=adjustable()[0]).run(image, strength=maps)
        with pytest.raises(UsageError, match="knows one strength"):
            Smoother("toy", backend=opened()[0]).run(image, strength=maps)
        cuda.free(maps.pointer)


def test_a_number_is_filled_in_once_for_a_shape_and_never_uploaded(adjustable, cuda, monkeypatch):
    backend, _ = adjustable()
    filled, fill, uploaded, upload = [], cuda.fill_floats, [], cuda.upload
    monkeypatch.setattr(cuda, "fill_floats", lambda at, value, *rest: (filled.append(value), fill(at, value, *rest)))
    monkeypatch.setattr(cuda, "upload", lambda at, host, to: (uploaded.append(host.nbytes), upload(at, host, to)))
    image = RANDOM.integers(0, 256, (75, 101, 3), np.uint8)
    sent = {}
    for strength in (2.0, 2.0, 0.5, 0.5, some_map(75, 101), 0.5):
        uploaded.clear()
        backend.smooth_tiled(image, np.empty_like(image), 32, 20, "feather", strength=strength)
        sent[np.ndim(strength)] = sum(uploaded)
    assert filled == [2.0, 0.5, 0.5]  # the last after a map
    assert sent[2] - sent[0] == 4 * 75 * 101
    assert len(backend.device_milliseconds((2, 24, 24), 2)) == 2 and filled[-1] == RANGE["default"]


def test_after_strengths_that_found_no_room_a_number_is_filled_in_again(adjustable, cuda):
    with adjustable()[0].lanes.lend() as lane:
        lane.fill_strength(3.0, 100)
        with pytest.raises(MemoryError):
            lane.fill_strength(3.0, 1 << 48)
        lane.fill_strength(3.0, 100)
        cuda.download(found := np.zeros(100, np.float32), lane.strength.pointer, lane.work)
        cuda.synchronize(lane.work)
        assert (found == 3).all()


def test_threads_with_strengths_of_their_own_do_not_mix_them(adjustable):
    backend, _ = adjustable()
    smoother, wrong = Smoother("toy", backend=backend), []
    image = RANDOM.integers(0, 256, (50, 70, 3), np.uint8)
    strengths = [0.25, 0.5, 1.0, 2.0, 4.0, some_map(50, 70), some_map(50, 70)]
    host = Smoother("toy", backend=on_host(backend.card))
    expected = [host.run(image, strength=strength) for strength in strengths]

    def work(number: int) -> None:
        for turn in range(len(strengths)):
            one = (number + turn) % len(strengths)
            if not np.array_equal(smoother.run(image, strength=strengths[one]), expected[one]):
                wrong.append((number, one))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(strengths))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize(
    ("plan", "strength", "says"),
    [(b"ptrt", RANGE, "expected float32 'image' and 'strength' in and 'smooth' out, .* got image, smooth"),
     (b"ptrt adjustable", {}, "expected float32 'image' in and 'smooth' out, as its card says, got image, strength"),
     (b"ptrt adjustable narrow", RANGE, "the same sizes of 'image' and 'strength' in each profile")],
)  # fmt: skip
def test_an_engine_that_is_not_what_its_card_says_is_refused(opened, kind, plan, strength, says):
    with pytest.raises(EngineError, match=says) as caught:
        opened(kind, plan=plan, strength=strength)
    assert caught.value.exit_code == 5 and "pnen-export" in str(caught.value)


def test_a_batch_has_the_cards_strength_or_its_own_and_no_other(adjustable, opened):
    backend, _ = adjustable()
    batch = RANDOM.random((2, 3, 20, 24), np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(backend.run(batch), scaled(batch, np.float32(RANGE["default"])))
        np.testing.assert_array_equal(backend.run(batch, np.ones((2, 1, 20, 24))), scaled(batch, 1))
    for strengths in (np.ones((1, 1, 20, 24), np.float32), np.ones((2, 1, 20, 1), np.float32)):
        with pytest.raises(UsageError, match=r"expected strengths of shape \(2, 1, 20, 24\)"):
            backend.run(batch, strengths)
    with pytest.raises(UsageError, match="no strengths, for a network of one strength"):
        opened()[0].run(batch, np.ones((2, 1, 20, 24), np.float32))
    image = np.zeros((40, 40, 3), np.float32)
    with pytest.raises(UsageError, match=r"shape \(40, 40\), got \(30, 40\)"):
        backend.smooth_tiled(image, np.empty_like(image), 32, 20, "feather", strength=np.ones((30, 40), np.float32))
