import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnen_runtime import EngineError, UsageError
from pnen_runtime.plan import describe_tiles, fitting_profile, largest_tile, most_at_once, peak_bytes, plan_tiles

PNEN = {"channels": 64, "scales": [2, 4, 8]}
MB = 1_000_000


@pytest.mark.parametrize(
    ("target", "channels", "side", "measured_mib"),
    [("onnx", 64, 96, 184), ("onnx", 64, 128, 545), ("onnx", 32, 128, 537),
     ("ort", 64, 96, 28), ("ort", 64, 128, 42), ("ort", 64, 256, 168), ("ort", 32, 256, 83), ("ort", 64, 393, 463)],
)  # fmt: skip
def test_predicted_memory_is_what_onnx_runtime_was_measured_to_take(card, target, channels, side, measured_mib):
    predicted = peak_bytes(card(target=target, config=PNEN | {"channels": channels}), side, side)
    assert 0.95 < predicted / (measured_mib * 2**20) < 1.35


def test_predicted_memory_goes_with_the_maps_that_the_card_says_are_alive(card):
    usual, more = (peak_bytes(card(target="ort", config=PNEN, live_maps=maps), 96, 96) for maps in (13, 53))
    assert more * 13 == usual * 53
    assert 0.95 < more / (2575 * 4 * 96 * 96) < 1.35  # MemNet was measured to take 2535 to 2630 numbers for a pixel


@given(memory=st.integers(1, 4000), height=st.integers(16, 5000), width=st.integers(16, 5000),
       tile=st.none() | st.just("whole") | st.integers(16, 3000), target=st.sampled_from(["onnx", "ort"]))  # fmt: skip
def test_no_tile_takes_more_than_is_allowed(card, memory, height, width, tile, target):
    ours = card(target=target, config=PNEN, tile=96, tile_step=40)
    plan = plan_tiles(ours, height, width, memory * MB, tile)
    assert 1 <= plan.step <= plan.tile
    taken = peak_bytes(ours, min(plan.tile, height), min(plan.tile, width))
    assert taken <= memory * MB or plan.tile == ours.minimum_side
    assert plan.limited == ("but needs" in plan.why)


def test_the_largest_tile_fits_and_one_more_pixel_does_not(card):
    ours = card(config=PNEN, target="onnx")
    side = largest_tile(ours, 512 * MB)
    assert peak_bytes(ours, side, side) <= 512 * MB < peak_bytes(ours, side + 1, side + 1)
    assert 96 <= side < 128  # the tile of the paper's authors fits, and scores are what limits it


def test_the_card_is_followed_unless_asked_otherwise(card):
    ours = card(tile=96, tile_step=40)
    plan = plan_tiles(ours, 321, 481, 512 * MB)
    assert (plan.tile, plan.step, plan.limited) == (96, 40, False)
    assert plan_tiles(ours, 321, 481, 512 * MB, 128).step == 128 - 56  # the card's overlap
    assert plan_tiles(ours, 321, 481, 512 * MB, 32).step == 16  # at most half a tile
    assert plan_tiles(ours, 321, 481, 512 * MB, 96, 96).step == 96
    assert plan_tiles(ours, 321, 481, 900 * MB, "whole").tile == 481


def test_a_whole_image_that_does_not_fit_is_tiled_and_it_is_said(card):
    ours = card(tile="whole", config=PNEN)
    plan = plan_tiles(ours, 3000, 4000, 512 * MB)
    assert plan.limited and plan.tile == largest_tile(ours, 512 * MB)
    assert "but needs 39936 MB of the 512 MB allowed" in plan.why
    assert "whole image (recommended by the card) up to about 392x392" in describe_tiles(ours, 512 * MB, None, None)
    assert "(asked for)" in describe_tiles(ours, 512 * MB, "whole", None)


@pytest.mark.parametrize(("tile", "step"), [(15, None), (0, None), ("big", None), (32, 33), (32, 0), ("whole", 0)])
def test_a_wrong_tile_or_step_is_refused(card, tile, step):
    with pytest.raises(UsageError, match="expected"):
        plan_tiles(card(), 100, 100, 512 * MB, tile, step)


TILES, WHOLE, LARGE = (
    ((1, 16, 16), (8, 96, 96), (8, 96, 96)),
    ((1, 16, 16),) * 2 + ((1, 300, 500),),
    ((32,) + (96,) * 2,) * 3,
)


@pytest.mark.parametrize(("batch", "height", "width", "number"), [(1, 96, 96, 0), (8, 40, 96, 0), (1, 97, 96, 1),
                                                                  (2, 97, 96, None), (32, 96, 96, 2), (9, 96, 96, None),
                                                                  (1, 15, 96, None)])  # fmt: skip
def test_the_smallest_profile_that_takes_a_batch_is_taken(batch, height, width, number):
    assert fitting_profile([TILES, WHOLE, LARGE], batch, height, width) == number


def test_batches_are_as_large_as_a_profile_that_also_takes_the_rest_of_them():
    assert most_at_once([TILES, WHOLE, LARGE], 96, 96) == 8  # not 32: 33 tiles leave one
    assert most_at_once([TILES, WHOLE, LARGE], 200, 96) == 1 and most_at_once([TILES], 97, 96) == 0


def test_an_engine_takes_the_largest_tile_that_its_profiles_allow(card):
    ours = card(tile=96, tile_step=80)
    assert plan_tiles(ours, 400, 600, 1, profiles=[TILES]).tile == 96  # memory does not count
    plan = plan_tiles(ours, 400, 600, 1, 200, profiles=[TILES])
    assert (plan.tile, plan.step, plan.limited) == (96, 80, True) and "no profile for 200" in plan.why
    assert plan_tiles(ours, 300, 500, 1, "whole", profiles=[TILES, WHOLE]).tile == 500
    assert plan_tiles(ours, 500, 300, 1, "whole", profiles=[TILES, WHOLE]).tile == 300  # it is wide, not high
    with pytest.raises(EngineError, match="takes 96x96 to 96x96 pixels, which fits no tile of an image of 50x600"):
        plan_tiles(ours, 50, 600, 1, profiles=[LARGE])
