from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pnen_runtime import ImageError, UsageError
from pnen_runtime.border import MARGIN, margin
from pnen_runtime.tiles import BLENDS, blend_for, on_grid, smooth_tiled, starts

sides = st.integers(16, 80)


def identity(batch):
    return batch


@given(length=st.integers(1, 400), tile=st.integers(1, 120), data=st.data())
def test_tiles_cover_every_pixel_and_end_at_the_edge(length, tile, data):
    step = data.draw(st.integers(1, tile))
    begins = starts(length, tile, step)
    covered = np.zeros(length, int)
    for begin in begins:
        covered[begin : begin + tile] += 1
    assert covered.min() > 0
    assert begins[0] == 0 and (length <= tile or begins[-1] + tile == length)
    assert begins[:-1] == list(range(0, step * (len(begins) - 1), step))


def test_the_authors_grid_on_a_bsd_image():
    assert starts(321, 96, 40) == [0, 40, 80, 120, 160, 200, 225]
    assert len(starts(481, 96, 40)) == 11


@settings(max_examples=60)
@given(height=sides, width=sides, tile=st.integers(16, 90) | st.just("whole"), data=st.data(),
       dtype=st.sampled_from(["uint8", "uint16"]), channels=st.sampled_from([1, 3]),
       blend=st.sampled_from(BLENDS), batch=st.integers(1, 4), grid=st.integers(1, 4))  # fmt: skip
def test_tiles_of_an_identity_blend_back_to_the_image(height, width, tile, data, dtype, channels, blend, batch, grid):
    step = data.draw(st.integers(4, 90 if tile == "whole" else tile))
    image = np.random.default_rng(height).integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, True)
    step = min(step, max(height, width)) if tile == "whole" else step
    back = smooth_tiled(identity, image, tile, step, blend, batch=batch, grid=grid)
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_come_back_as_floats(dtype):
    image = np.random.default_rng(1).random((40, 50, 3)).astype(dtype)
    back = smooth_tiled(identity, image, 24, 10)
    assert back.dtype == dtype
    np.testing.assert_allclose(back, image, atol=1e-3 if dtype == "float16" else 1e-6)


def test_uniform_is_the_clipped_plain_average_of_the_authors():
    rng = np.random.default_rng(0)
    image = rng.random((61, 90, 3)).astype(np.float32)
    answers = [rng.normal(0.5, 0.6, (1, 3, 32, 32)) for _ in range(4 * 6)]

    total, count = np.zeros((61, 90, 3)), np.zeros((61, 90, 1))
    places = [(y, x) for y in starts(61, 32, 12) for x in starts(90, 32, 12)]
    assert len(places) == len(answers)
    for (y, x), answer in zip(places, answers, strict=True):
        total[y : y + 32, x : x + 32] += np.clip(answer[0], 0, 1).transpose(1, 2, 0)
        count[y : y + 32, x : x + 32] += 1

    queue = iter(answers)
    smooth = smooth_tiled(lambda batch: next(queue).astype(np.float32), image, 32, 12, "uniform")
    np.testing.assert_allclose(smooth, total / count, atol=1e-6)


@pytest.mark.parametrize(("tile", "step"), [(96, 40), (96, 72), (64, 63), (48, 32)])
def test_feather_shows_no_seam_where_tiles_differ_by_a_constant(tile, step):
    levels = np.random.default_rng(0)

    def moody(batch):
        return np.full_like(batch, levels.uniform(0.2, 0.8))

    def steepest(blend):
        smooth = smooth_tiled(moody, np.zeros((200, 230, 3), np.float32), tile, step, blend)
        return max(np.abs(np.diff(smooth, axis=axis)).max() for axis in (0, 1))

    overlap = min(tile - step, tile // 2)
    assert steepest("feather") <= 0.6 * min(1, 2 * np.pi / 2 / overlap)  # a ramp over the overlap, in both directions
    if overlap > 8:
        assert steepest("uniform") > 0.05  # what feathering is for


@given(length=st.integers(16, 400), tile=st.integers(16, 120), grid=st.integers(1, 8), data=st.data())
def test_tiles_begin_on_the_grid_and_leave_no_pixel_out(length, tile, grid, data):
    asked = data.draw(st.integers(1, tile))
    side, step = on_grid(length, tile, asked, grid)
    begins = starts(length, side, step)
    assert 0 <= min(length, tile) - side < grid and step <= side
    assert step % grid == 0 or asked <= grid
    assert begins[-1] + side == length and all(after - before <= side for before, after in pairwise(begins))
    if step % grid == 0:
        assert all(begin % grid == 0 for begin in begins)


@pytest.mark.parametrize("grid", [1, 2, 3])
@pytest.mark.parametrize("size", [(150, 131), (97, 200), (64, 67)])
def test_tiles_of_a_local_network_are_the_whole_picture(grid, size):
    """One that sees 10 pixels around and works on a grid; with the ends of overlaps it would differ."""

    def local(batch):
        high, wide = batch.shape[2:]
        places = np.pad(batch, ((0, 0), (0, 0), (0, -high % grid), (0, -wide % grid)), "edge")
        places = places[:, :, ::grid, ::grid].repeat(grid, 2).repeat(grid, 3)[:, :, :high, :wide]
        far = np.pad(places, ((0, 0), (0, 0), (10, 10), (10, 10)))
        return (far[:, :, :-20, 10:-10] + far[:, :, 20:, 10:-10] + far[:, :, 10:-10, :-20] + far[:, :, 10:-10, 20:]) / 4

    image = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
    whole, tiled = local(image.transpose(2, 0, 1)[None]), smooth_tiled(local, image, 60, 18, "inner", grid=grid)
    np.testing.assert_allclose(tiled, whole[0].transpose(1, 2, 0), atol=1e-6)
    assert np.abs(smooth_tiled(local, image, 60, 18, "feather", grid=grid) - tiled).max() > 0.01


@given(border=st.sampled_from(["wrap", "reflect"]), grid=st.integers(1, 4), tile=st.integers(30, 60),
       sides=st.tuples(st.integers(16, 110), st.integers(16, 110)), seed=st.integers(0, 2**32 - 1))  # fmt: skip
def test_beyond_the_border_a_picture_goes_on_as_it_is_told(border, grid, tile, sides, seed):
    """As the picture that was continued by hand, without what was added; in as many tiles."""
    rng, step = np.random.default_rng(seed), tile - tile // 3
    image, strength = rng.random((*sides, 3)), rng.random(sides)
    calls = []

    def network(batch, strengths):  # relates each pixel to the tile's corner
        calls.append(batch.shape)
        return batch * strengths + batch[:, :, :1, :1]

    added = [(margin(side, tile, border, grid),) * 2 for side in sides]
    found = smooth_tiled(network, image, tile, step, grid=grid, strength=strength, border=border)
    count = len(calls)
    by_hand = smooth_tiled(network, np.pad(image, (*added, (0, 0)), border), tile, step, grid=grid,
                           strength=np.pad(strength, added, border))  # fmt: skip
    inner = tuple(slice(before, before + side) for (before, _), side in zip(added, sides, strict=True))
    np.testing.assert_array_equal(found, by_hand[inner])
    assert 2 * count == len(calls)
    for (before, _), side in zip(added, sides, strict=True):
        assert before % grid == 0 and before <= MARGIN
        assert side + 2 * before <= tile or side > tile  # what is one tile stays one
        assert before > MARGIN - grid or side + 2 * (before + grid) > tile >= side or before + grid >= side


def test_a_whole_picture_is_continued_too():
    image = np.random.default_rng(0).random((40, 60, 3)).astype(np.float32)
    seen = []
    smooth_tiled(lambda batch: seen.append(batch.copy()) or batch, image, border="wrap")
    np.testing.assert_array_equal(seen[0][0, :, :MARGIN, MARGIN:-MARGIN], image[-MARGIN:].transpose(2, 0, 1))


def test_tiles_of_networks_with_a_block_fade_and_others_keep_their_inner_parts():
    assert blend_for({"scales": [8]}) == "feather" and blend_for({"scales": []}) == blend_for({}) == "inner"


def test_progress_counts_every_tile():
    seen = []
    smooth_tiled(identity, np.zeros((64, 100, 3), np.uint8), 32, 20, batch=2, progress=lambda *at: seen.append(at))
    assert seen[-1] == (3 * 5, 15) or seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_the_result_goes_where_it_is_asked_to():
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    out = np.empty((50, 60, 3), np.float32)
    assert smooth_tiled(identity, image, 32, 16, out=out) is out
    np.testing.assert_allclose(out, image / 255, atol=1e-6)


@pytest.mark.parametrize(("tile", "step", "blend"), [(32, 33, "feather"), (32, 0, "feather"), (32, 16, "magic")])
def test_a_wrong_setting_is_refused(tile, step, blend):
    with pytest.raises(UsageError, match="expected"):
        smooth_tiled(identity, np.zeros((64, 64, 3), np.uint8), tile, step, blend)


def test_a_grey_network_refuses_colour():
    with pytest.raises(ImageError, match="grey"):
        smooth_tiled(identity, np.zeros((64, 64, 3), np.uint8), channels=1)
