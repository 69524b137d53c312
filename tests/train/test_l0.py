"""The L0 filter: OpenCV, a linear system written out, and what the equations keep."""

import cv2
import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import spsolve

from pnen_runtime.errors import UsageError
from pnen_runtime.filters.l0_gradients import l0_smooth, nearest_image, sparse_gradients
from pnen_train.data.filters import filter_image, resolve

GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]


@pytest.mark.parametrize(("name", "strength"), [("coffee", 0.02), ("astronaut", 0.02), ("chelsea", 0.005)])
def test_inside_a_frame_it_agrees_with_opencv(photo, name, strength):
    # OpenCV mixes three rules for the border; inside a frame of one colour all of them say the same.
    framed = np.full((208, 248, 3), 128, np.uint8)
    framed[24:-24, 24:-24] = photo(name, 160, 200)
    ours = filter_image(framed, "l0", {"strength": strength}).astype(int)
    difference = np.abs(ours - cv2.ximgproc.l0Smooth(framed, None, strength, 2.0))
    assert difference.mean() < 0.05
    assert (difference <= 1).mean() >= 0.999
    assert np.abs(ours - framed).mean() > 1  # and it does smooth


def difference_matrices(height, width):
    """Periodic forward differences of a flattened image, as sparse matrices."""

    def forward(n):
        return sparse.csr_matrix((np.r_[-np.ones(n), np.ones(n)], (np.r_[:n, :n], np.r_[:n, 1:n, 0])), (n, n))

    return sparse.kron(sparse.eye(height), forward(width)), sparse.kron(forward(height), sparse.eye(width))


@pytest.mark.parametrize(("height", "width"), [(2, 2), (7, 12), (16, 9), (31, 33)])
@pytest.mark.parametrize("beta", [0.04, 10.0, 8e4])
def test_each_round_solves_its_linear_system(height, width, beta):
    planes = np.random.default_rng(height).random((3, height, width))
    right, down = sparse_gradients(planes, 0.1)
    solved = nearest_image(np.fft.rfft2(planes), right, down, beta)
    across, along = difference_matrices(height, width)
    system = sparse.eye(height * width) + beta * (across.T @ across + along.T @ along)
    for image, h, v, found in zip(planes, right, down, solved, strict=True):
        wanted = image.ravel() + beta * (across.T @ h.ravel() + along.T @ v.ravel())
        assert np.abs(system @ found.ravel() - wanted).max() / max(1, beta) < 1e-10
        np.testing.assert_allclose(found.ravel(), spsolve(system.tocsc(), wanted), atol=1e-9)


def test_small_gradients_are_dropped_for_all_channels_together(photo):
    planes = np.moveaxis(photo("rocket") / 255, 2, 0)
    right, down = sparse_gradients(planes, 0.01)
    for y, x in [(0, 0), (7, 47), (39, 20), (39, 47)]:  # the last row and column look around the border
        h = planes[:, y, (x + 1) % 48] - planes[:, y, x]
        v = planes[:, (y + 1) % 40, x] - planes[:, y, x]
        kept = sum(h**2) + sum(v**2) >= 0.01
        np.testing.assert_array_equal(right[:, y, x], h * kept)
        np.testing.assert_array_equal(down[:, y, x], v * kept)


@given(colour=st.tuples(*[st.floats(0, 1)] * 3), height=st.integers(2, 20), width=st.integers(2, 20))
@settings(max_examples=20)
def test_a_flat_image_is_a_fixed_point(colour, height, width):
    image = np.broadcast_to(np.array(colour), (height, width, 3))
    np.testing.assert_allclose(l0_smooth(image), image, atol=1e-12)


@given(seed=st.integers(0, 99), height=st.integers(2, 20), width=st.integers(2, 20), strength=st.floats(1e-4, 1))
@settings(max_examples=20)
def test_the_mean_of_every_channel_is_kept(seed, height, width, strength):
    image = np.random.default_rng(seed).random((height, width, 3))
    np.testing.assert_allclose(l0_smooth(image, strength).mean((0, 1)), image.mean((0, 1)), atol=1e-12)


def test_a_periodic_shift_of_the_image_shifts_the_result(photo):
    image = photo("coffee") / 255
    shifted = l0_smooth(np.roll(image, (11, 5), (0, 1)))
    np.testing.assert_allclose(shifted, np.roll(l0_smooth(image), (11, 5), (0, 1)), atol=1e-6)


def test_more_strength_moves_further_from_the_image(photo):
    image = photo("coffee", 80, 80) / 255
    moved = [np.square(l0_smooth(image, strength) - image).mean() for strength in (1e-4, 1e-3, 1e-2, 1e-1)]
    assert moved == sorted(moved) and moved[0] < moved[-1] / 10


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize(("name", "height"), [("coffee", 40), ("astronaut", 41)])
def test_tensors_on_any_device_give_the_same(photo, device, name, height):
    image = photo(name, height) / 255
    found = l0_smooth(torch.from_numpy(image).to(device))
    assert found.device.type == device and found.dtype == torch.float64
    np.testing.assert_allclose(found.cpu().numpy(), l0_smooth(image), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("l1", {}, 'unknown filter "l1"; there are l0'),
        ("l0", {"lambda": 1}, 'unknown setting "lambda" of filter l0; there are strength, kappa'),
        ("l0", {"strength": "high"}, "expected a number from 0 for strength"),
        ("l0", {"strength": True}, "got True"),
        ("l0", {"strength": -0.1}, "got -0.1"),
        ("l0", {"kappa": float("nan")}, "got nan"),
        ("l0", {"kappa": float("inf")}, "got inf"),
        ("l0", {"kappa": 1}, "expected strength above 0 and kappa above 1"),
        ("l0", {"strength": 0}, "expected strength above 0 and kappa above 1"),
    ],
)
def test_wrong_settings_are_refused(name, given, message):
    with pytest.raises(UsageError, match=message):
        filter_image(np.zeros((4, 4, 3), np.uint8), name, given)


def test_left_out_settings_are_the_papers():
    assert resolve("l0", {}) == {"strength": 0.02, "kappa": 2.0}
    assert resolve("l0", {"kappa": 3}) == {"strength": 0.02, "kappa": 3.0}


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 3), (4, 1, 3)])
def test_an_image_without_two_axes_of_two_pixels_is_refused(shape):
    with pytest.raises(ValueError, match="at least 2×2 pixels"):
        l0_smooth(np.zeros(shape))
