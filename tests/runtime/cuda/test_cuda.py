"""Every method of `Cuda`, by each package, on the GPU or on the stand-in for it."""

import ctypes
import gc
import threading

import numpy as np
import pytest

from pnen_runtime.cuda import Buffer, driver
from pnen_runtime.errors import PnenError

NUMBERS = np.arange(5000, dtype=np.float32)
MATRIX = NUMBERS.reshape(50, 100)


def upload(cuda, stream, array=NUMBERS):
    pointer = cuda.allocate(array.nbytes)
    cuda.upload(pointer, array, stream)
    return pointer


def download(cuda, pointer, stream, like=NUMBERS):
    back = np.full_like(like, 77)
    cuda.download(back, pointer, stream)
    cuda.synchronize(stream)
    return back


def in_thread(work):
    """Run it in another thread, and raise what it raises."""
    failures = []

    def run():
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for failure in failures:
        raise failure


def test_what_goes_up_comes_down(cuda):
    with cuda.active():
        stream = cuda.stream()
        pointer = upload(cuda, stream)
        np.testing.assert_array_equal(download(cuda, pointer, stream), NUMBERS)
        cuda.fill(pointer, 4, stream)
        np.testing.assert_array_equal(download(cuda, pointer, stream), [0, *NUMBERS[1:]])
        cuda.fill_floats(pointer, 0.02, 2, stream)
        np.testing.assert_array_equal(download(cuda, pointer, stream), [np.float32(0.02)] * 2 + [*NUMBERS[2:]])
        read_only = np.frombuffer(NUMBERS.tobytes(), np.float32)
        np.testing.assert_array_equal(download(cuda, upload(cuda, stream, read_only), stream), NUMBERS)
        cuda.free(pointer)
    assert cuda.name.split()[0] in ("pycuda", "cuda-python") and cuda.name.split()[1][0].isdigit()


def test_only_contiguous_arrays_are_copied(cuda):
    with cuda.active():
        stream = cuda.stream()
        pointer = cuda.allocate(NUMBERS.nbytes)
        for copy in (
            lambda: cuda.upload(pointer, NUMBERS[::2], stream),
            lambda: download(cuda, pointer, stream, MATRIX.T),
        ):
            with pytest.raises(ValueError, match="contiguous"):
                copy()


def test_the_context_of_before_comes_back(cuda):
    def enter():
        assert driver.current_context() is None
        with cuda.active():
            ours = driver.current_context()
            assert ours is not None
            with cuda.active():
                assert driver.current_context() == ours
            other = cuda.share()
            with pytest.raises(ZeroDivisionError), other.active():
                assert driver.current_context() == ours
                1 / 0  # noqa: B018
            other.close()
            assert driver.current_context() == ours
            cuda.memory()
        assert driver.current_context() is None

    enter()
    in_thread(enter)
    with cuda.active():
        in_thread(enter)
        cuda.memory()


@pytest.mark.parametrize("where", ["here", "in another thread"])
def test_closing_leaves_the_context_of_others_current(stand_in, open_one, where):
    before = stand_in.held
    foreign = 0x1234

    def open_and_close():
        driver.call("cuCtxPushCurrent_v2", ctypes.c_void_p(foreign))
        cuda = open_one()
        with cuda.active():
            upload(cuda, cuda.stream())
            cuda.event()
        (lambda work: work() if where == "here" else in_thread(work))(cuda.close)
        cuda.close()
        assert driver.current_context() == foreign
        other = open_one()
        with other.active():
            again = open_one()
            again.close()
            other.memory()
        assert driver.current_context() == foreign
        other.close()
        driver.call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    open_and_close()
    assert stand_in.held == before
    assert driver.current_context() is None


def test_a_closed_one_says_so(open_one):
    cuda = open_one()
    cuda.close()
    with pytest.raises(PnenError, match="closed"), cuda.active():
        pass


def test_too_much_memory_is_a_memory_error_with_figures(cuda):
    with cuda.active():
        free, total = cuda.memory()
        assert 0 < free <= total
        with pytest.raises(MemoryError, match=r"expected 1125899907 MB free on the GPU, there are \d+ MB"):
            cuda.allocate(1 << 50)


def test_a_buffer_only_grows(cuda, gpu):
    with cuda.active():
        held = gpu and gpu.held
        buffer = Buffer(cuda)
        assert (buffer.need(0), buffer.size, buffer.grown) == (0, 0, 0)
        pointer = buffer.need(1 << 20)
        assert pointer == buffer.pointer == buffer.need(1000) and (buffer.size, buffer.grown) == (1 << 20, 1)
        buffer.need(1 << 22)
        assert (buffer.size, buffer.grown) == (1 << 22, 2)
        with pytest.raises(MemoryError):
            buffer.need(1 << 50)
        assert (buffer.pointer, buffer.size) == (0, 0)
        buffer.need(8)
        assert buffer.grown == 3
        buffer.free()
        buffer.free()
        assert gpu is None or gpu.held == held


def test_pinned_memory_lives_as_long_as_it_is_referenced(cuda, gpu):
    with cuda.active():
        stream = cuda.stream()
        held = gpu and gpu.held
        array = cuda.pinned(NUMBERS.nbytes)
        assert (array.shape, array.dtype) == ((NUMBERS.nbytes,), np.uint8)
        view = array.view(np.float32)[10:]
    del array
    gc.collect()
    view[...] = NUMBERS[10:]
    with cuda.active():
        pointer = upload(cuda, stream, view)
        np.testing.assert_array_equal(download(cuda, pointer, stream, view), NUMBERS[10:])
        cuda.free(pointer)
    assert gpu is None or gpu.held == held + 1

    def drop():  # where no context is current
        nonlocal view
        view = None
        gc.collect()

    in_thread(drop)
    assert gpu is None or gpu.held == held
    with cuda.active():
        array = cuda.pinned(100)
        cuda.release(array)
        assert gpu is None or gpu.held == held


def test_an_event_lets_one_stream_wait_for_another(cuda):
    with cuda.active():
        first, second, event = cuda.stream(), cuda.stream(), cuda.event()
        pinned = cuda.pinned(NUMBERS.nbytes).view(np.float32)
        pinned[...] = NUMBERS
        pointer = upload(cuda, first, pinned)
        cuda.record(event, first)
        cuda.wait(second, event)
        np.testing.assert_array_equal(download(cuda, pointer, second), NUMBERS)
        cuda.fill(pointer, NUMBERS.nbytes, first)
        cuda.download(pinned, pointer, first)
        cuda.record(event, first)
        cuda.synchronize(event)
        assert not pinned.any()


@pytest.mark.parametrize("foreign", [1, 2])
def test_a_stream_waits_for_the_default_stream_of_others(cuda, foreign):
    with cuda.active():
        stream = cuda.stream()
        pointer = upload(cuda, stream)
        cuda.synchronize(stream)
        driver.call("cuMemsetD8Async", ctypes.c_uint64(pointer), ctypes.c_ubyte(0), ctypes.c_size_t(NUMBERS.nbytes),
                    ctypes.c_void_p(foreign))  # fmt: skip
        cuda.wait_for(stream, foreign)
        assert not download(cuda, pointer, stream).any()


def test_time_is_told_between_events(cuda):
    with cuda.active():
        stream, start, end = cuda.stream(), cuda.event(timing=True), cuda.event(timing=True)
        cuda.record(start, stream)
        pointer = upload(cuda, stream)
        cuda.record(end, stream)
        cuda.synchronize(end)
        assert cuda.milliseconds(start, end) >= 0
        with pytest.raises(PnenError):
            cuda.milliseconds(start, cuda.event())
        cuda.free(pointer)


def test_threads_work_side_by_side(cuda):
    def work(number):
        with cuda.active():
            stream = cuda.stream()
            numbers = NUMBERS + number
            for _ in range(10):
                pointer = upload(cuda, stream, numbers)
                np.testing.assert_array_equal(download(cuda, pointer, stream), numbers)
                cuda.free(pointer)

    failures = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    before, threading.excepthook = threading.excepthook, failures.append
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    threading.excepthook = before
    assert not failures
