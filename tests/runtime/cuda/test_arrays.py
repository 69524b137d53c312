"""CUDA arrays in and out: arrays of the host, which are laid out alike, and objects that only say where they lie."""

import ctypes
import gc
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnen_runtime.cuda import arrays, driver
from pnen_runtime.cuda.arrays import CudaArray, as_cuda_array, as_kind_of, from_capsule
from pnen_runtime.cuda.arrays import _get_pointer as get_pointer
from pnen_runtime.cuda.arrays import _Tensor as Tensor
from pnen_runtime.errors import ImageError

DTYPES = ["uint8", "uint16", "float16", "float32", "float64"]


@pytest.fixture(autouse=True)
def everywhere_is_the_first_gpu(monkeypatch):
    """The addresses here are made up; test_pictures.py has those that the driver knows."""
    monkeypatch.setattr(arrays, "gpu_of", lambda pointer: 0)


class Interface:
    """An array that speaks `__cuda_array_interface__`."""

    def __init__(self, **changes):
        self.__cuda_array_interface__ = {
            "version": 3, "shape": (4, 5, 3), "typestr": "<f4", "data": (4096, True), "strides": None, "stream": 7
        } | changes  # fmt: skip


class Packed:
    """An array that speaks DLPack: the layout of a numpy array, said to be on a GPU."""

    def __init__(self, array, device=(2, 0), newest=True):
        self.array, self.device, self.newest, self.streams = array, device, newest, []

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, *, stream, **options):
        self.streams.append(stream)
        if options and not self.newest:
            raise TypeError("unexpected keyword max_version")
        return self.array.__dlpack__(**options)


def values(array):
    """What lies where a CudaArray says, read as host memory."""
    low = sum(min(0, step * (side - 1)) for side, step in zip(array.shape, array.strides, strict=True))
    high = sum(max(0, step * (side - 1)) for side, step in zip(array.shape, array.strides, strict=True))
    memory = (ctypes.c_uint8 * (high - low + array.dtype.itemsize)).from_address(array.pointer + low)
    return np.ndarray(array.shape, array.dtype, memory, -low, array.strides).copy()


def assert_same_place(array, given):
    assert (array.pointer, array.shape, array.dtype, array.strides) == (
        given.__array_interface__["data"][0], given.shape, given.dtype, given.strides
    )  # fmt: skip
    np.testing.assert_array_equal(values(array), given)


@st.composite
def views(draw):
    """An array of one to four axes in any layout."""
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    array = np.arange(2 * np.prod(shape) * 2 ** len(shape)).astype(draw(st.sampled_from(DTYPES)))
    array = array[: np.prod(shape) * 2 ** len(shape)].reshape([2 * side for side in shape])
    steps = [slice(None, None, draw(st.sampled_from([1, 2, -1, -2]))) for _ in shape]
    return array.transpose(draw(st.permutations(range(len(shape)))))[tuple(steps)]


@given(array=views(), newest=st.booleans())
def test_dlpack_gives_the_place_and_the_layout(array, newest):
    seen = as_cuda_array(Packed(array, newest=newest))
    assert_same_place(seen, array)
    assert seen.stream == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("version", [None, (1, 0)])
def test_torch_tensors_are_read_from_their_capsules(dtype, version):
    tensor = torch.arange(120).to(getattr(torch, dtype)).reshape(4, 5, 6)[1:, ::2].permute(2, 0, 1)
    seen = from_capsule(tensor.__dlpack__(max_version=version), None)
    assert (seen.pointer, seen.shape, seen.stream) == (tensor.data_ptr(), tuple(tensor.shape), None)
    assert seen.strides == tuple(step * tensor.element_size() for step in tensor.stride())
    np.testing.assert_array_equal(values(seen), tensor.numpy())


def test_a_capsule_may_tell_an_offset_and_no_strides():
    array = np.arange(20, dtype=np.float32).reshape(4, 5)
    capsule = array.__dlpack__()
    tensor = Tensor.from_address(get_pointer(capsule, b"dltensor"))
    tensor.byte_offset, tensor.shape[0], tensor.strides = 20, 3, None
    assert_same_place(from_capsule(capsule, None), array[1:])


@pytest.mark.parametrize("newest", [True, False])
def test_an_array_lives_as_long_as_what_is_seen_of_it(newest):
    array = np.arange(10, dtype=np.float32)
    references = sys.getrefcount(array)
    seen = as_cuda_array(Packed(array, newest=newest))
    gc.collect()
    assert sys.getrefcount(array) == references + 1
    del seen
    assert sys.getrefcount(array) == references


def test_dlpack_is_asked_to_let_the_legacy_default_stream_wait():
    packed = Packed(np.zeros(3, np.float32))
    as_cuda_array(packed)
    assert packed.streams == [1]
    assert as_cuda_array(Packed(np.zeros(3, np.float32), device=(13, 0))) is not None  # managed memory


def test_the_interface_gives_the_place_the_layout_and_the_stream():
    given = Interface()
    seen = as_cuda_array(given)
    assert (seen.pointer, seen.shape, seen.strides, seen.dtype, seen.stream) == (
        4096, (4, 5, 3), (60, 12, 4), np.float32, 7
    )  # fmt: skip
    assert seen.owner is given
    assert as_cuda_array(Interface(strides=(-60, 12, 4), data=(8192, False))).strides == (-60, 12, 4)
    assert as_cuda_array(Interface(stream=None)).stream is None
    assert as_cuda_array(seen) is seen


def test_an_older_interface_is_taken_after_dlpack_and_on_the_default_stream():
    old = Interface(version=2)
    del old.__cuda_array_interface__["stream"]
    assert as_cuda_array(old).stream == 1
    both = Packed(np.zeros((4, 4), np.float32))
    both.__cuda_array_interface__ = old.__cuda_array_interface__
    assert_same_place(as_cuda_array(both), both.array)
    both.__cuda_array_interface__ = Interface().__cuda_array_interface__
    assert as_cuda_array(both).pointer == 4096


def test_what_is_given_out_is_seen_as_the_same():
    array = CudaArray(4096, (4, 5), np.dtype(np.uint16), (10, 2), stream=5)
    assert array.__cuda_array_interface__["strides"] is None
    for one in (array, CudaArray(4096, (4, 5), np.dtype(np.uint16), (-100, 4))):
        seen = as_cuda_array(SimpleNamespace(__cuda_array_interface__=one.__cuda_array_interface__))
        for name in ("pointer", "shape", "dtype", "strides", "stream"):
            assert getattr(seen, name) == getattr(one, name)


@pytest.mark.parametrize("given", [np.zeros(3), torch.zeros(3), [1], "path", None, 3, b"", np.float32(1)])
def test_everything_else_is_none(given):
    assert as_cuda_array(given) is None


def refuse():
    raise BufferError("Can't export tensors\nthat require gradient")


REFUSED = {
    "expected uint8": [
        Interface(typestr="<i4"), Interface(typestr="<c8"), Interface(typestr=">f4"), Interface(typestr="|b1"),
        Packed(np.zeros(3, np.int32)), Packed(np.zeros(3, bool)), Packed(np.zeros(3, complex)),
        Packed(torch.zeros(3, dtype=torch.bfloat16)),
    ],
    "without a mask": [Interface(mask=Interface())],
    "multiples of 4": [Interface(data=(4097, False)), Interface(strides=(61, 12, 4))],
    "first GPU, got GPU 1": [Packed(np.zeros(3, np.float32), device=(2, 1))],
    "require gradient": [
        SimpleNamespace(__dlpack_device__=lambda: (2, 0), __dlpack__=lambda **_: refuse()),
        SimpleNamespace(__dlpack_device__=refuse),
    ],
}  # fmt: skip


@pytest.mark.parametrize("reason", sorted(REFUSED))
def test_what_cannot_be_taken_is_one_line(reason):
    for array in REFUSED[reason]:
        with pytest.raises(ImageError, match=reason) as caught:
            as_cuda_array(array)
        assert "\n" not in str(caught.value)


def test_the_result_is_of_the_kind_that_was_given(monkeypatch):
    result = CudaArray(4096, (4, 5), np.dtype(np.uint8), (5, 1))

    class Theirs:
        device = "cuda:0"

    torch_like = SimpleNamespace(Tensor=Theirs, as_tensor=lambda array, device: ("torch", array, device))
    cupy_like = SimpleNamespace(ndarray=Theirs, asarray=lambda array: ("cupy", array))
    monkeypatch.setitem(sys.modules, "torch", torch_like)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert as_kind_of(result, Theirs()) == ("torch", result, "cuda:0")
    assert as_kind_of(result, object()) is result
    monkeypatch.delitem(sys.modules, "torch")
    assert as_kind_of(result, Theirs()) is result and "torch" not in sys.modules
    monkeypatch.setitem(sys.modules, "cupy", cupy_like)
    assert as_kind_of(result, Theirs()) == ("cupy", result)


def test_a_new_array_outlives_what_it_was_made_with(cuda, gpu):
    held = gpu and gpu.held
    other = cuda.share()
    array = CudaArray.new(other, (4, 5, 3), np.dtype(np.float32))
    other.close()
    assert (array.shape, array.strides) == ((4, 5, 3), (60, 12, 4))
    with cuda.active():
        stream, back = cuda.stream(), np.empty(array.shape, array.dtype)
        cuda.upload(array.pointer, np.ones_like(back), stream)
        cuda.download(back, array.pointer, stream)
        cuda.synchronize(stream)
        assert back.all()
    assert gpu is None or gpu.held == held + 3  # its memory, its hold on the context, and our stream
    del array
    assert gpu is None or gpu.held == held + 1
    assert driver.current_context() is None


def test_a_new_array_that_does_not_fit_holds_nothing(cuda, gpu):
    held = gpu and gpu.held
    with pytest.raises(MemoryError):
        CudaArray.new(cuda, (1 << 30, 1 << 20), np.dtype(np.uint8))
    gc.collect()
    assert gpu is None or gpu.held == held
