"""What goes wrong is one line of the right type, and nothing stays behind."""

import sys

import numpy as np
import pytest

from pnen_runtime.cuda import BLOCK, blocks, driver, open_cuda
from pnen_runtime.errors import BackendMissing, PnenError

NUMBERS = np.arange(100, dtype=np.float32)


def launch(cuda, stream, kernel="put_u8", out=None, block=BLOCK):
    band = cuda.allocate(4 * 32)
    cuda.fill(band, 4 * 32, stream)
    out = band if out is None else out
    arguments = [
        np.uint64(band),
        np.uint64(out),
        *map(np.int64, (32, 1, 1)),
        *map(np.int32, (1, 1, 1, 32, 0, 1, 0, 0, 1, 32)),
    ]
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
    "cuStreamCreate": lambda cuda, stream, event, pointer: cuda.stream(),
    "cuEventCreate": lambda cuda, stream, event, pointer: cuda.event(),
    "cuMemAlloc_v2": lambda cuda, stream, event, pointer: cuda.allocate(1),
    "cuMemGetInfo_v2": lambda cuda, stream, event, pointer: cuda.memory(),
    "cuMemHostAlloc": lambda cuda, stream, event, pointer: cuda.pinned(1),
    "cuMemcpyHtoDAsync_v2": lambda cuda, stream, event, pointer: cuda.upload(pointer, NUMBERS, stream),
    "cuMemcpyDtoHAsync_v2": lambda cuda, stream, event, pointer: cuda.download(NUMBERS.copy(), pointer, stream),
    "cuMemsetD8Async": lambda cuda, stream, event, pointer: cuda.fill(pointer, 1, stream),
    "cuMemsetD32Async": lambda cuda, stream, event, pointer: cuda.fill_floats(pointer, 1.5, 1, stream),
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
        pointer = cuda.allocate(NUMBERS.nbytes)
        cuda.upload(pointer, NUMBERS, stream)
        back = np.empty_like(NUMBERS)
        with stand_in.refusing(function, code), pytest.raises(kind) as caught:
            REFUSALS[function](cuda, stream, event, pointer)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value) or "MB free" in str(caught.value)
        cuda.download(back, pointer, stream)
        cuda.synchronize(stream)
        np.testing.assert_array_equal(back, NUMBERS)


def test_a_context_that_cannot_be_made_current_is_one_line(stand_in, cuda):
    with (
        stand_in.refusing("cuCtxPushCurrent_v2", 1),
        pytest.raises(PnenError, match="cuCtxPushCurrent failed: CUDA_ERROR_INVALID_VALUE"),
        cuda.active(),
    ):
        pytest.fail("it was not made current")
    assert driver.current_context() is None


def test_without_a_gpu_the_backend_is_missing(stand_in):
    stand_in.absent()
    with pytest.raises(BackendMissing, match="expected an NVIDIA GPU.*ONNX file runs on the CPU") as caught:
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
    with pytest.raises(BackendMissing, match="pip install cuda-python"):
        open_cuda()
