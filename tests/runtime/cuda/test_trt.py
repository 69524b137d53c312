"""The backend of engines on a stand-in for TensorRT and, without a GPU, one for the driver: see their own words."""

import threading
import time
from hashlib import sha256

import numpy as np
import pytest

from pnen_runtime import EngineError, PnenError, UsageError
from pnen_runtime.backends import trt
from pnen_runtime.backends.trt import SHAPES

from .stand_in_tensorrt import ENGINES, SCRATCH

RANDOM = np.random.default_rng(0)


def flip(batch):
    return batch[:, :, ::-1]


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
    for _ in range(6):
        batch = RANDOM.random((2, 3, 24, 24), np.float32)
        np.testing.assert_array_equal(backend.run(batch), flip(batch))
    (context,) = module.made[0].contexts
    assert context.executions == 2  # once to run, once to be captured
    larger = RANDOM.random((4, 3, 32, 32), np.float32)  # buffers grow, so the first graph's addresses are gone
    for given in (larger, batch, larger, batch, batch):
        np.testing.assert_array_equal(backend.run(given), flip(given))


def test_rtx_keeps_its_own_graphs_and_its_kernels_in_the_users_cache(opened, tmp_path):
    (tmp_path / "model.engine.kernels").write_bytes(b"of a stranger")
    backend, module = opened("tensorrt_rtx")
    batch = RANDOM.random((2, 3, 24, 24), np.float32)
    for _ in range(3):
        backend.run(batch)
    assert module.made[0].contexts[0].executions == 3
    backend.close()
    (kept,) = (tmp_path / "cache" / "pnen" / "kernels").iterdir()
    assert kept.read_bytes() == b"." and kept.name == sha256(b"ptrt").hexdigest() + ".kernels"
    opened("tensorrt_rtx")[0].close()
    assert kept.read_bytes() == b".."
    opened("tensorrt_rtx", b"ptrt another")[0].close()
    assert kept.read_bytes() == b".." and len(list(kept.parent.iterdir())) == 2
    assert (tmp_path / "model.engine.kernels").read_bytes() == b"of a stranger"


def test_native_code_runs_where_the_caller_says_so_and_never_by_the_card(opened):
    for kind in ("tensorrt 8.6", "tensorrt 10"):
        with pytest.raises(UsageError, match=r"brings native code .* allow_host_code=True, or --allow-host-code"):
            opened(kind, compatible=True)
        opened(kind, compatible=True, allow=True)


def test_contexts_of_shapes_long_unused_serve_new_ones(opened):
    backend, module = opened()
    for round_ in range(2):
        for width in range(16, 16 + 2 * SHAPES):
            batch = RANDOM.random((1, 3, 20, width), np.float32)
            for _ in range(1 + round_):
                np.testing.assert_array_equal(backend.run(batch), flip(batch))
    assert len(module.made[0].contexts) == SHAPES


@pytest.mark.parametrize("kind", ENGINES)
def test_after_a_shape_that_does_not_fit_the_others_have_scratch_of_their_own_again(opened, cuda, kind, monkeypatch):
    small, large = RANDOM.random((1, 3, 20, 24), np.float32), RANDOM.random((1, 3, 64, 80), np.float32)
    backend, module = opened(kind)
    allocate, room = cuda.allocate, [1 << 40]

    def limited(size):
        if size > room[0]:
            raise MemoryError(f"expected {size} bytes free")
        return allocate(size)

    monkeypatch.setattr(cuda, "allocate", limited)
    for _ in range(3):
        np.testing.assert_array_equal(backend.run(small), flip(small))
    if kind != "tensorrt 8.6":  # which needs the same for every shape
        room[0] = SCRATCH * small.size
        for _ in range(2):
            with pytest.raises(MemoryError, match=f"expected {SCRATCH * large.size} bytes"):
                backend.run(large)
            for _ in range(3):
                np.testing.assert_array_equal(backend.run(small), flip(small))
        with pytest.raises(MemoryError):
            backend.run(large)
    room[0] = SCRATCH * large.size
    for given in (large, small, large, large, small, small):
        np.testing.assert_array_equal(backend.run(given), flip(given))
    assert len(module.made[0].contexts) == 2


def test_an_address_that_is_refused_leaves_no_half_set_context(opened):
    backend, module = opened()
    batch = RANDOM.random((1, 3, 20, 24), np.float32)
    with backend.lanes.lend() as lane:
        np.testing.assert_array_equal(lane.run(batch), flip(batch))
        (context,) = module.made[0].contexts
        context.refused = "smooth"
        with pytest.raises(EngineError, match="refuses an address"):
            lane.network.enqueue(batch.shape, lane.smooth.pointer, 0, lane.image.pointer, lane.work)
        context.refused = None
        for _ in range(3):
            np.testing.assert_array_equal(lane.run(batch), flip(batch))


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


def test_closing_waits_for_the_thread_that_runs(opened, monkeypatch):
    backend, _ = opened()
    order, begun, asked, acquire = [], threading.Event(), [], backend.lanes._turns.acquire
    monkeypatch.setattr(backend.lanes._turns, "acquire", lambda: asked.append("a turn") or acquire())

    def work() -> None:
        with backend.lanes.lend() as lane:
            begun.set()
            while len(asked) < trt.LANES and not order:  # until closing waits for this lane, or did not wait at all
                time.sleep(0.001)
            batch = RANDOM.random((1, 3, 20, 20), np.float32)
            order.append("run" if np.array_equal(lane.run(batch), flip(batch)) else "wrong")

    def close() -> None:
        backend.close()
        order.append("closed")

    threads = [threading.Thread(target=work), threading.Thread(target=close)]
    threads[0].start()
    begun.wait()
    threads[1].start()
    for thread in threads:
        thread.join()
    assert order == ["run", "closed"]
    with pytest.raises(PnenError, match="closed"):
        backend.run(np.zeros((1, 3, 20, 20), np.float32))


def test_what_tensorrt_refuses_is_one_line_with_its_reason(opened):
    backend, module = opened()
    with pytest.raises(EngineError, match="no profile for 9x32x32"):
        backend.run(np.zeros((9, 3, 32, 32), np.float32))
    backend.run(np.zeros((1, 3, 32, 32), np.float32))
    module.made[0].fails = True
    with pytest.raises(EngineError, match="cannot run it: no luck"):
        backend.run(np.zeros((1, 3, 32, 33 - 2), np.float32))


@pytest.mark.parametrize("kind", ENGINES)
def test_a_profile_that_tensorrt_refuses_is_one_line_too(opened, kind):
    backend, module = opened(kind)
    module.made[0].refuses_profiles = True
    for _ in range(2 * SHAPES):
        with pytest.raises(EngineError, match="refuses 1x32x32: a profile in use"):
            backend.run(np.zeros((1, 3, 32, 32), np.float32))
    module.made[0].refuses_profiles = False
    backend.run(np.zeros((1, 3, 32, 32), np.float32))


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"plan": b"ptrt broken"}, "cannot load it: magic tag does not match; build"),
     ({"dtype": "half"}, "expected float32 'image' in"),
     ({"version": "0.0"}, "cannot load it: CUDA initialization failure with error: 35")],
)  # fmt: skip
def test_an_engine_that_cannot_be_loaded_says_why(opened, changes, says):
    with pytest.raises(EngineError, match=says):
        opened(**changes)
