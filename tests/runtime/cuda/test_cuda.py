"""Every method of `Cuda`, by each package, on the GPU or on the stand-in for it."""

import ctypes
import gc
import sys
import threading

import numpy as np
import pytest

from pnen_runtime.cuda import BLOCK, Buffer, blocks, driver, open_cuda
from pnen_runtime.errors import BackendMissing, PnenError

NUMBERS = np.arange(5000, dtype=np.float32)


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
        read_only = np.frombuffer(NUMBERS.tobytes(), np.float32)
        np.testing.assert_array_equal(download(cuda, upload(cuda, stream, read_only), stream), NUMBERS)
        cuda.free(pointer)
    assert cuda.name.split()[0] in ("pycuda", "cuda-python") and cuda.name.split()[1][0].isdigit()


def test_only_contiguous_arrays_are_copied(cuda):
    with cuda.active():
        stream = cuda.stream()
        pointer = cuda.allocate(NUMBERS.nbytes)
        with pytest.raises((ValueError, BufferError), match="contiguous"):
            cuda.upload(pointer, NUMBERS[::2], stream)


def test_the_context_of_before_comes_back(cuda):
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
        in_thread(lambda: test_the_context_of_before_comes_back(cuda) if ours else None)
        cuda.memory()
    assert driver.current_context() is None


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
        assert cuda.memory()[0] == free


def test_a_buffer_only_grows(cuda):
    with cuda.active():
        free = cuda.memory()[0]
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
        assert cuda.memory()[0] == free


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
        assert 0 <= cuda.milliseconds(start, end) < 10_000
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


def launch(cuda, stream, kernel="put_u8", out=None, block=BLOCK):
    band = cuda.allocate(4 * 32)
    cuda.fill(band, 4 * 32, stream)
    out = band if out is None else out
    arguments = [np.uint64(band), np.uint64(out), *map(np.int64, (32, 1, 1)), *map(np.int32, (1, 1, 1, 32, 0, 1))]
    cuda.launch(kernel, blocks(32, 1), block, arguments, stream)


def test_a_wrong_launch_is_one_line(cuda):
    with cuda.active():
        stream = cuda.stream()
        with pytest.raises(PnenError, match="cuModuleGetFunction failed"):
            launch(cuda, stream, "put_u9")
        with pytest.raises(PnenError, match="cuLaunchKernel failed"):
            launch(cuda, stream, block=(2048, 1, 1))
        launch(cuda, stream)
        cuda.synchronize(stream)


def test_after_a_kernel_that_fails_everything_does_and_closing_still_works(stand_in, open_one):
    cuda = open_one()
    with cuda.active():
        stream = cuda.stream()
        cuda.event()
        kept = cuda.pinned(10)
        launch(cuda, stream, out=1000)
        with pytest.raises(PnenError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
            cuda.synchronize(stream)
        with pytest.raises(PnenError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
            cuda.fill(1000, 1, stream)
    cuda.close()
    assert driver.current_context() is None
    del kept


REFUSALS = {
    "cuCtxPushCurrent_v2": lambda cuda, stream, event, pointer: cuda.active().__enter__(),
    "cuStreamCreate": lambda cuda, stream, event, pointer: cuda.stream(),
    "cuEventCreate": lambda cuda, stream, event, pointer: cuda.event(),
    "cuMemAlloc_v2": lambda cuda, stream, event, pointer: cuda.allocate(1),
    "cuMemGetInfo_v2": lambda cuda, stream, event, pointer: cuda.memory(),
    "cuMemHostAlloc": lambda cuda, stream, event, pointer: cuda.pinned(1),
    "cuMemcpyHtoDAsync_v2": lambda cuda, stream, event, pointer: cuda.upload(pointer, NUMBERS, stream),
    "cuMemcpyDtoHAsync_v2": lambda cuda, stream, event, pointer: cuda.download(NUMBERS.copy(), pointer, stream),
    "cuMemsetD8Async": lambda cuda, stream, event, pointer: cuda.fill(pointer, 1, stream),
    "cuEventRecord": lambda cuda, stream, event, pointer: cuda.record(event, stream),
    "cuStreamWaitEvent": lambda cuda, stream, event, pointer: cuda.wait(stream, event),
    "cuStreamSynchronize": lambda cuda, stream, event, pointer: cuda.synchronize(stream),
    "cuEventSynchronize": lambda cuda, stream, event, pointer: cuda.synchronize(event),
    "cuEventElapsedTime_v2": lambda cuda, stream, event, pointer: cuda.milliseconds(event, event),
    "cuModuleLoadData": lambda cuda, stream, event, pointer: launch(cuda, stream),
    "cuModuleGetFunction": lambda cuda, stream, event, pointer: launch(cuda, stream),
    "cuLaunchKernel": lambda cuda, stream, event, pointer: launch(cuda, stream),
}


@pytest.mark.parametrize("function", sorted(REFUSALS))
@pytest.mark.parametrize(("code", "kind"), [(1, PnenError), (2, MemoryError)])
def test_what_the_driver_refuses_is_one_line_with_its_name(stand_in, cuda, function, code, kind):
    name = {1: "CUDA_ERROR_INVALID_VALUE", 2: "CUDA_ERROR_OUT_OF_MEMORY"}[code]
    with cuda.active():
        stream, event = cuda.stream(), cuda.event(timing=True)
        pointer = upload(cuda, stream)
        stand_in.refuse(function, code)
        with pytest.raises(kind) as caught:
            REFUSALS[function](cuda, stream, event, pointer)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value) or "MB free" in str(caught.value)
        np.testing.assert_array_equal(download(cuda, pointer, stream), NUMBERS)


def test_without_a_gpu_the_backend_is_missing(stand_in):
    stand_in.absent()
    with pytest.raises(BackendMissing, match="expected an NVIDIA GPU") as caught:
        open_cuda()
    assert caught.value.exit_code == 4 and driver.version() is None


def test_pycuda_is_taken_first_and_cuda_python_without_it(gpu, open_one, monkeypatch):
    opened = open_cuda()
    assert opened.name.split()[0] == ("pycuda" if "pycuda" in sys.modules else "cuda-python")
    assert opened.gpu == driver.first_gpu()
    opened.close()
    for package in ("pycuda", "cuda"):
        monkeypatch.setitem(sys.modules, package, None)
        for module in [name for name in sys.modules if name.startswith(f"{package}.")]:
            monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendMissing, match='pip install "pnen'):
        open_cuda()
