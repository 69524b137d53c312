"""CUDA graphs, and what the driver says of itself."""

import re

import numpy as np
import pytest

from pnen_runtime.cuda import driver
from pnen_runtime.errors import PnenError

ONES = np.ones(1000, np.float32)


@pytest.fixture
def work(cuda):
    """(cuda, stream, pointer to ones on the device)."""
    with cuda.active():
        stream = cuda.stream()
        pointer = cuda.allocate(ONES.nbytes)
        cuda.upload(pointer, ONES, stream)
        yield cuda, stream, pointer


def value(cuda, stream, pointer):
    back = np.empty_like(ONES)
    cuda.download(back, pointer, stream)
    cuda.synchronize(stream)
    assert back.min() == back.max()
    return back[0]


def test_a_graph_runs_when_it_is_launched_and_as_often(work):
    cuda, stream, pointer = work
    graph = driver.capture(stream.handle, lambda: cuda.fill(pointer, ONES.nbytes, stream))
    assert value(*work) == 1
    for _ in range(2):
        cuda.upload(pointer, ONES, stream)
        assert value(*work) == 1
        graph.launch(stream.handle)
        assert value(*work) == 0
    graph.free()
    graph.free()
    with pytest.raises(PnenError, match="freed"):
        graph.launch(stream.handle)


def test_a_graph_takes_in_streams_that_wait_for_its_own(work):
    cuda, stream, pointer = work
    other, there, back = cuda.stream(), cuda.event(), cuda.event()

    def fork():
        cuda.record(there, stream)
        cuda.wait(other, there)
        cuda.fill(pointer, ONES.nbytes, other)
        cuda.record(back, other)
        cuda.wait(stream, back)

    graph = driver.capture(stream.handle, fork)
    assert value(*work) == 1
    graph.launch(stream.handle)
    assert value(*work) == 0
    graph.free()


FORBIDDEN = {
    "raises": lambda cuda, stream: 1 / 0,
    "allocates": lambda cuda, stream: cuda.allocate(10),
    "waits": lambda cuda, stream: cuda.synchronize(stream),
    "is captured already": lambda cuda, stream: driver.call("cuStreamBeginCapture_v2", stream.handle, 1),
}


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_work_that_cannot_be_captured_gives_no_graph_and_a_stream_as_before(work, what):
    cuda, stream, pointer = work

    def cannot():
        cuda.fill(pointer, ONES.nbytes, stream)
        FORBIDDEN[what](cuda, stream)

    assert driver.capture(stream.handle, cannot) is None
    assert value(*work) == 1
    graph = driver.capture(stream.handle, lambda: cuda.fill(pointer, ONES.nbytes, stream))
    graph.launch(stream.handle)
    assert value(*work) == 0
    graph.free()


def test_an_interrupt_comes_out_and_the_stream_is_as_before(work):
    cuda, stream, pointer = work

    def interrupted():
        cuda.fill(pointer, ONES.nbytes, stream)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver.capture(stream.handle, interrupted)
    assert value(*work) == 1


def test_the_default_stream_is_not_captured(work):
    ran = []
    assert driver.capture(1, lambda: ran.append(1)) is None
    assert not ran


@pytest.mark.parametrize("function", ["cuStreamBeginCapture_v2", "cuGraphInstantiateWithFlags"])
def test_a_driver_that_makes_no_graph_gives_none(stand_in, work, function):
    cuda, stream, pointer = work
    held = stand_in.held
    with stand_in.refusing(function, 801):
        assert driver.capture(stream.handle, lambda: cuda.fill(pointer, ONES.nbytes, stream)) is None
    assert stand_in.held == held
    assert value(*work) == 1


def test_a_graph_that_the_driver_does_not_launch_is_an_error(stand_in, work):
    cuda, stream, pointer = work
    graph = driver.capture(stream.handle, lambda: cuda.fill(pointer, ONES.nbytes, stream))
    with stand_in.refusing("cuGraphLaunch", 1), pytest.raises(PnenError, match="CUDA_ERROR_INVALID_VALUE"):
        graph.launch(stream.handle)
    graph.free()


def test_the_driver_tells_its_version_and_its_gpu(cuda, gpu):
    assert re.fullmatch(r"\d+\.\d+", driver.version())
    assert re.fullmatch(r"\d+\.\d", driver.first_gpu().compute_capability)
    if gpu is not None:
        assert driver.version() == "13.0" and driver.first_gpu() == driver.Gpu("stand-in", "7.5")
        assert driver.error_name(12345) == "CUDA error 12345"
