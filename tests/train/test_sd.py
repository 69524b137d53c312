"""The SD filter: a second assembly solved directly, the energy it lowers, its limits, and what it commutes with."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import laplacian
from scipy.sparse.linalg import spsolve

from pnen_runtime.errors import UsageError
from pnen_runtime.filters import static_dynamic
from pnen_runtime.filters.static_dynamic import FLOOR, TOLERANCE, nearest_image, sd_smooth
from pnen_train.data.filters import filter_image, resolve

LINEAR = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
DAYLIGHT = np.array([0.950456, 1.0, 1.088754])  # D65


def lab(image):
    """CIE Lab of sRGB by its formulas; one channel stays as it is."""
    if image.shape[2] == 1:
        return image
    light = np.where(image > 0.04045, ((image + 0.055) / 1.055) ** 2.4, image / 12.92) @ LINEAR.T / DAYLIGHT
    x, y, z = np.moveaxis(np.where(light > 0.008856, np.cbrt(light), 7.787 * light + 16 / 116), 2, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 2)


def neighbours(height, width):
    """The pairs of pixels, by their numbers, that touch each other: every pair once."""
    numbers = np.arange(height * width).reshape(height, width)
    pairs = [(numbers[:, :-1], numbers[:, 1:]), (numbers[:-1], numbers[1:]),
             (numbers[:-1, :-1], numbers[1:, 1:]), (numbers[:-1, 1:], numbers[1:, :-1])]  # fmt: skip
    return tuple(np.concatenate([pair[end].ravel() for pair in pairs]) for end in (0, 1))


def squares(image):
    """The squared differences in Lab of all neighbours, as they are."""
    one, other = neighbours(*image.shape[:2])
    colours = lab(image).reshape(-1, image.shape[2])
    return np.sum((colours[one] - colours[other]) ** 2, 1)


def factor(image, sharpness):
    found = squares(image)
    spread = np.ptp(found)
    return np.exp(-sharpness * (found - found.min()) / (spread if spread else 1)) + FLOOR


def assembled(image, strength=15.0, mu=50.0, nu=400.0, steps=10):
    """The filter as a sparse matrix and a direct solver."""
    count, result = image.shape[0] * image.shape[1], np.ones_like(image)
    for _ in range(steps):
        graph = sparse.coo_matrix((factor(image, mu) * factor(result, nu), neighbours(*image.shape[:2])), (count,) * 2)
        system = sparse.eye(count) + strength * laplacian((graph + graph.T).tocsr())
        result = spsolve(system.tocsc(), image.reshape(count, -1)).reshape(image.shape)
    return result


@pytest.mark.parametrize("name", ["coffee", "astronaut", "chelsea"])
@pytest.mark.parametrize("given", [{}, {"strength": 300, "mu": 5, "nu": 20, "steps": 4}, {"steps": 1}])
def test_it_agrees_with_a_second_assembly_and_a_direct_solver(photo, name, given):
    image = photo(name) / 255
    difference = np.abs(sd_smooth(image, **given) - assembled(image, **given)) * 255
    assert difference.max() < 0.05 and difference.mean() < 1e-3  # levels; constants of Lab differ
    assert np.abs(sd_smooth(image, **given) - image).mean() * 255 > 1


@given(seed=st.integers(0, 99), height=st.integers(2, 12), width=st.integers(2, 12), strength=st.floats(0, 1e4))
@settings(max_examples=25)
def test_one_channel_agrees_too(seed, height, width, strength):
    image = np.random.default_rng(seed).random((height, width, 1))
    np.testing.assert_allclose(sd_smooth(image, strength), assembled(image, strength), atol=5e-5)


@pytest.mark.parametrize("start", ["input", "flat", "random"])
@pytest.mark.parametrize("strength", [0.1, 15.0, 1e4])
def test_a_system_is_solved_as_exactly_as_promised_from_any_start(strength, start):
    random = np.random.default_rng(3)
    image, edges = random.random((21, 17, 3)), np.zeros((4, 21, 17))
    one, other = neighbours(21, 17)
    values = strength * random.random(len(one)) ** 4
    sizes = [21 * 16, 20 * 17, 20 * 16, 20 * 16]
    across, along, falling, rising = np.split(values, np.cumsum(sizes)[:-1])
    edges[0, :, :-1], edges[1, :-1] = across.reshape(21, 16), along.reshape(20, 17)
    edges[2, :-1, :-1], edges[3, :-1, 1:] = falling.reshape(20, 16), rising.reshape(20, 16)
    graph = sparse.coo_matrix((values, (one, other)), (357, 357))
    wanted = spsolve((sparse.eye(357) + laplacian((graph + graph.T).tocsr())).tocsc(), image.reshape(357, 3))
    begin = {"input": image, "flat": np.ones_like(image), "random": random.random(image.shape)}[start]
    assert np.abs(nearest_image(image, edges, begin).reshape(357, 3) - wanted).max() <= TOLERANCE


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
@pytest.mark.parametrize("nu", [20.0, 400.0])
def test_every_step_lowers_the_energy(photo, name, nu):
    # Proven for one channel, where weights and residuals measure the same difference, and the step's own scale of it.
    image, strength, mu = photo(name)[..., 1:2] / 255, 15.0, 50.0

    def energy(result, least, spread):
        scaled = (squares(result) - least) / spread
        penalty = spread * ((1 - np.exp(-nu * scaled)) / nu + FLOOR * scaled)
        return np.sum((result - image) ** 2) + strength * np.sum(factor(image, mu) * penalty)

    results = [sd_smooth(image, strength, mu, nu, steps) for steps in range(1, 8)]
    for before, after in pairwise(results):
        scale = squares(before).min(), np.ptp(squares(before))
        assert energy(after, *scale) <= energy(before, *scale) * (1 + 1e-9)
    assert energy(results[1], *scale) < energy(results[0], *scale) * 0.999


@given(colour=st.tuples(*[st.floats(0, 1)] * 3), height=st.integers(2, 20), width=st.integers(2, 20))
@settings(max_examples=20)
def test_a_flat_image_is_a_fixed_point(colour, height, width):
    image = np.broadcast_to(np.array(colour), (height, width, 3))
    np.testing.assert_allclose(sd_smooth(image), image, atol=TOLERANCE)


@given(seed=st.integers(0, 99), height=st.integers(2, 20), width=st.integers(2, 20), strength=st.floats(0, 1e4))
@settings(max_examples=20)
def test_mean_and_range_of_every_channel_are_kept(seed, height, width, strength):
    image = np.random.default_rng(seed).random((height, width, 3))
    result = sd_smooth(image, strength, steps=4)
    np.testing.assert_allclose(result.mean((0, 1)), image.mean((0, 1)), atol=TOLERANCE)
    assert (result >= image.min((0, 1)) - TOLERANCE).all() and (result <= image.max((0, 1)) + TOLERANCE).all()


def test_no_strength_changes_nothing_and_more_moves_further(photo):
    image = photo("coffee", 60, 60) / 255
    moved = [np.square(sd_smooth(image, strength) - image).mean() for strength in (0, 1, 15, 200)]
    assert moved[0] == 0 and moved == sorted(moved) and moved[1] < moved[3] / 2


def test_sharper_guidance_keeps_more(photo):
    image = photo("coffee", 60, 60) / 255
    for key in ("mu", "nu"):
        moved = [np.square(sd_smooth(image, **{key: value}) - image).mean() for value in (1, 30, 1000, 1e6)]
        assert moved == sorted(moved, reverse=True) and moved[-1] < moved[0] / 4


TURNS = [lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.swapaxes(0, 1)]


@pytest.mark.parametrize("turn", TURNS, ids=["upside down", "mirrored", "transposed"])
def test_turning_the_image_turns_the_result(photo, turn):
    image = photo("astronaut") / 255
    np.testing.assert_allclose(sd_smooth(turn(image)), turn(sd_smooth(image)), atol=0.02 / 255)


def test_left_out_settings_are_the_papers_and_the_authors():
    assert resolve("sd", {}) == {"strength": 15.0, "mu": 50.0, "nu": 400.0, "steps": 10}


def test_what_cannot_be_is_refused(monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    with pytest.raises(UsageError, match="expected at least 1 step, got 0"):
        filter_image(image, "sd", {"steps": 0})
    monkeypatch.setattr(static_dynamic, "ROUNDS", 5)
    with pytest.raises(UsageError, match="not solved in 5 rounds; take a smaller strength"):
        filter_image(image, "sd", {"strength": 1e4})
