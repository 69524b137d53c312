"""Sizes of an engine, and the arithmetic of keys and scores."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from pnen_export.builder_api import element_limit, usual_limit
from pnen_export.engine_command import engine_report
from pnen_export.fusion import attention_fused, no_verdict
from pnen_export.profiles import (
    KEY_LIMIT,
    Profile,
    Shape,
    check_profiles,
    most_elements,
    most_keys,
    overflow_risk,
    read_profile,
)
from pnen_export.profiles import tile_profile as tiles
from pnen_runtime.card import Card
from pnen_runtime.errors import UsageError


def card(**fields) -> Card:
    config = {"scales": [2, 4, 8], "channels": 64, "key_channels": 32}
    return Card(**{"network": "pnen", "task": {}, "config": config, "precision": "fp16"} | fields)


def up_to(text: str) -> Profile:
    return read_profile(f"1x16x16,{text},{text}")


def test_text_becomes_a_profile_and_text_again():
    profile = read_profile("16x16, 8x96x96,32x96x128")
    assert profile == (Shape(1, 16, 16), Shape(8, 96, 96), Shape(32, 96, 128))
    assert str(profile) == "1x16x16,8x96x96,32x96x128"


@pytest.mark.parametrize("text", ["", "96x96", "1x16x16,1x96x96", "a,b,c", "1x3x16x16,1x3x96x96,1x3x96x96", "16,96,96",
                                  "1x0x16,1x96x96,1x96x96", "1x16x16,1x96x96,1x96x96,"])  # fmt: skip
def test_other_text_is_wrong_usage(text):
    with pytest.raises(UsageError, match="expected three sizes MIN,OPT,MAX"):
        read_profile(text)


def test_by_default_tiles_as_the_card_recommends():
    assert str(tiles(card(tile=112))) == "1x16x16,8x112x112,8x112x112"
    assert str(tiles(card(tile=112), 4)) == "1x16x16,4x112x112,4x112x112"


def test_whole_images_are_as_large_as_keys_allow():
    assert str(tiles(card(tile="whole"))) == "1x16x16,1x496x496,1x496x496"
    assert str(tiles(card(tile="whole", precision="fp32"))).endswith("1x1024x1024")
    for scales in ([2], [3], [8], []):
        check_profiles(card(config={"scales": scales}), [tiles(card(tile="whole", config={"scales": scales}))])


def test_keys_are_counted_at_the_scale_that_has_most():
    assert most_keys(card(), Shape(7, 37, 53)) == (19 * 27, 2)
    assert most_keys(card(config={"scales": []}), Shape(1, 37, 53)) == (0, 0)


def test_half_precision_is_refused_one_key_beyond_the_limit():
    by_4 = card(config={"scales": [4, 8]})
    check_profiles(by_4, [up_to("16x16"), up_to("64x1024x1016")])  # keys are counted in one image
    check_profiles(by_4, [up_to("64x16376")])  # 16 rows of 4094 keys: 65504
    with pytest.raises(UsageError, match=rf"65,520 keys at scale 4.*beyond {KEY_LIMIT:,}: state at most 1x63x16124 "):
        check_profiles(by_4, [up_to("96x96"), up_to("64x16380")])
    check_profiles(by_4, [up_to("64x16380")], None)
    check_profiles(card(config={"scales": [4]}, precision="fp32"), [up_to("64x16380")])
    check_profiles(card(config={"scales": []}), [up_to("4096x4096")])


@pytest.mark.parametrize("shape", ["1080x1920", "1920x1080", "512x512", "4320x7680"])
def test_the_size_it_names_fits(shape):
    with pytest.raises(UsageError) as caught:
        check_profiles(card(), [up_to(shape)])
    named = str(caught.value).split("at most ")[1].split()[0]
    check_profiles(card(), [up_to(named)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1x8x16,1x96x96,1x96x96", "from 1x16x16"),
        ("1x96x96,1x64x96,1x96x96", "growing"),
        ("2x16x16,1x16x16,4x16x16", "growing"),
    ],
)
def test_a_profile_that_is_no_range_is_wrong_usage(text, message):
    with pytest.raises(UsageError, match=message):
        check_profiles(card(), [read_profile(text)])
    with pytest.raises(UsageError, match="at least one"):
        check_profiles(card(), [])


# MB that TensorRT-RTX 1.7 reserved for networks of these channels and scales: as exported, and with Tanh before the
# softmax, with keys and values of unequal widths or without the axis of heads.
@pytest.mark.parametrize(
    ("channels", "scales", "shape", "fused", "unfused"),
    [(16, [8], "8x96x96", [48], [74]), (16, [8], "8x144x144", [67], [267]), (16, [8], "1x512x512", [78], [4357]),
     (32, [8], "8x96x96", [62], [83, 88]), (32, [8], "8x128x128", [77], [194]), (32, [8], "8x192x192", [142], [784]),
     (32, [8], "1x512x512", [129], [4390]), (32, [4], "8x96x96", [63], [216]), (32, [4], "8x144x144", [92], [931]),
     (32, [4, 8], "8x96x96", [79], [259]), (32, [4, 8], "8x144x144", [111], [1166]), (48, [8], "8x96x96", [85], []),
     (48, [8], "8x144x144", [139], []), (64, [2, 4, 8], "8x96x96", [70], [738, 739, 1280]),
     (64, [2, 4, 8], "8x128x128", [124], [2246, 2254, 3979])],
)  # fmt: skip
def test_fusion_is_judged_right_for_every_engine_that_was_measured(channels, scales, shape, fused, unfused):
    own = card(config={"channels": channels, "key_channels": channels // 2, "scales": scales})
    assert all(attention_fused(own, up_to(shape), megabytes * 10**6) is True for megabytes in fused)
    assert all(attention_fused(own, up_to(shape), megabytes * 10**6) is False for megabytes in unfused)


# Adjustable networks of 32 channels on half the grid; 48, 124 and 118 would be the activations without attention.
@pytest.mark.parametrize(
    ("shape", "fused", "unfused"), [("4x256x256", [62], [180, 310]), ("1x512x512", [58], [570, 1100])]
)
def test_fusion_on_a_coarse_grid_is_judged_by_its_places(shape, fused, unfused):
    own = card(config={"channels": 32, "key_channels": 16, "scales": [8], "grid": 2})
    assert all(attention_fused(own, up_to(shape), megabytes * 10**6) is True for megabytes in fused)
    assert all(attention_fused(own, up_to(shape), megabytes * 10**6) is False for megabytes in unfused)
    assert attention_fused(own, up_to("8x96x96"), 41 * 10**6) is None  # 144 keys, too few to be seen


def test_a_coarse_grid_makes_smaller_tensors():
    for grid, scale, elements in ((1, 8, 608**2 * 76**2), (2, 8, 304**2 * 76**2), (3, 6, 203**2 * 102**2)):
        own = card(config={"channels": 32, "scales": [scale], "grid": grid})
        assert most_elements(own, Shape(1, 608, 608)) == elements
    without = card(config={"channels": 8, "scales": [], "grid": 4}, strength={"least": 1, "most": 2})
    assert most_elements(without, Shape(2, 64, 64)) == 2 * 64 * 64 * 4  # the picture with its strengths


def test_fusion_is_not_judged_where_scores_cannot_be_seen():
    assert attention_fused(card(), up_to("48x48"), 10**8) is None  # kernels take more beside the scores
    assert attention_fused(card(), up_to("1080x1920"), 10**9) is None  # the builder's count wraps
    assert attention_fused(card(config={"scales": []}), up_to("8x96x96"), 10**8) is None
    by_8 = card(config={"scales": [8]}, live_maps=45)
    assert attention_fused(by_8, up_to("8x96x96"), 10**8) is None  # features hide them, as in RDN
    single = card(config={"scales": [2, 4, 8], "channels": 8, "key_channels": 8}, precision="fp32")
    assert attention_fused(single, up_to("4x64x64"), 10**8) is None  # not measured, so only what is plain is said
    assert attention_fused(card(precision="fp32"), up_to("8x96x96"), 15 * 10**8) is False


@pytest.mark.parametrize(
    ("own", "shape", "why"),
    [(card(), "48x48", "too few"), (card(), "1080x1920", "cannot be relied on"), (card(), "8x96x96", ""),
     (card(config={"scales": [8]}, live_maps=45), "8x96x96", "too few"),
     (card(config={"scales": []}), "8x96x96", "no attention")],
)  # fmt: skip
def test_where_there_is_no_verdict_it_is_said_why(own, shape, why):
    told = no_verdict(own, up_to(shape))
    assert why in told and bool(told) == bool(why)
    assert (attention_fused(own, up_to(shape), 10**8) is None) == bool(why)
    built = {"seconds": 1.0, "half_share": {"graph": 1.0}, "activation_bytes": [10**8],
             "attention_fused": [attention_fused(own, up_to(shape), 10**8)]}  # fmt: skip
    engine = {"flavour": "rtx", "version": "1.7", "gpu": None, "compute_capabilities": ["SM89"], "built": built,
              "profiles": [[list(size) for size in up_to(shape)]]}  # fmt: skip
    line = engine_report(replace(own, engine=engine, parity={"not_run": "not asked for"}))[1]
    if not own.config["scales"]:
        assert line.endswith("100 MB")  # there is nothing to say
    else:
        assert line.endswith(f"no verdict ({told})" if why else ", attention fused")
    unknown = engine | {"built": built | {"activation_bytes": [], "attention_fused": []}}
    line = engine_report(replace(own, engine=unknown, parity={"not_run": "not asked for"}))[1]
    assert ("no verdict (TensorRT does not say what it reserves)" in line) == bool(own.config["scales"])


LIMIT = 2**31 - 1


@pytest.mark.parametrize(("scale", "side"), [(2, 304), (4, 428), (8, 608)])
def test_scores_of_2_to_the_31_elements_are_refused_with_the_size_that_fits(scale, side):
    own = card(config={"scales": [scale], "channels": 32})
    check_profiles(own, [up_to(f"{side}x{side}")], None, LIMIT)
    for shape in (f"{side + scale}x{side + scale}", "1080x1920", "1920x1080", "4320x7680"):
        with pytest.raises(
            UsageError, match=r"elements, and this TensorRT takes 2,147,483,647 at most: state"
        ) as caught:
            check_profiles(own, [up_to(shape)], None, LIMIT)
        named = str(caught.value).split("state at most ")[1].split()[0]
        check_profiles(own, [up_to(named)], None, LIMIT)
        height, width = read_profile(f"1x16x16,{named},{named}").largest[1:]
        with pytest.raises(UsageError):  # and it is the largest of this aspect
            check_profiles(own, [up_to(f"{height + 2 * scale}x{width + 4 * scale}")], None, LIMIT)
    check_profiles(own, [up_to("1080x1920")], None, None)


def test_a_batch_counts_and_maps_without_attention_count_too():
    with pytest.raises(UsageError, match=r"2,717,908,992 elements.*state at most 6x192x192 "):
        check_profiles(card(), [up_to("8x192x192")], element_limit=LIMIT)
    with pytest.raises(UsageError, match="elements"):
        check_profiles(card(config={"channels": 64}), [up_to("8192x8192")], element_limit=LIMIT)


def test_what_is_named_for_too_many_keys_has_not_too_many_elements():
    with pytest.raises(UsageError, match="half-precision attention overflows") as caught:
        check_profiles(card(), [up_to("1080x1920")], element_limit=LIMIT)
    named = str(caught.value).split("at most ")[1].split()[0]
    check_profiles(card(), [up_to(named)], element_limit=LIMIT)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("tile", ["whole", 96, 192, 256])
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_the_default_is_never_refused_but_what_was_asked_for_is(scale, tile, precision):
    own = card(config={"scales": [scale], "channels": 32}, tile=tile, precision=precision)
    for limit in (LIMIT, None):
        check_profiles(own, [tiles(own, element_limit=limit)], KEY_LIMIT, limit)
    if tile != "whole":
        assert tiles(own, 8, LIMIT).largest.batch == 8
        assert tiles(own, element_limit=None).largest.batch == 8


def test_a_whole_image_by_default_is_the_largest_that_old_versions_take():
    whole = {scale: tiles(card(tile="whole", config={"scales": [scale]}), element_limit=LIMIT) for scale in (2, 4, 8)}
    assert {scale: profile.largest.height for scale, profile in whole.items()} == {2: 304, 4: 416, 8: 608}


@pytest.mark.parametrize(
    ("name", "version", "limit"),
    [("tensorrt", "8.6.0", LIMIT), ("tensorrt", "9.3.0.post12", LIMIT), ("tensorrt", "10.9.0.34", LIMIT),
     ("tensorrt", "10.12.0", LIMIT), ("tensorrt", "10.13.0.35", None), ("tensorrt", "11.0.0", None),
     ("tensorrt_rtx", "1.1.1.26", None)],
)  # fmt: skip
def test_the_versions_that_count_elements_in_31_bits(name, version, limit):
    assert element_limit(SimpleNamespace(__name__=name, __version__=version)) == limit
    assert usual_limit(SimpleNamespace(__name__=name, __version__=version)) == (2**40 if "rtx" in name else None)


@pytest.mark.parametrize("shape", ["100000x64x64", "1x100000x64", "1x64x100000", "70000x70000x70000"])
@pytest.mark.parametrize("limits", [(KEY_LIMIT, None, 2**40), (None, LIMIT, None), (None, None, None)])
def test_what_a_card_cannot_say_is_refused_with_what_fits(shape, limits):
    with pytest.raises(UsageError, match=r"more than 65,536 images at once or pixels a side: state at most") as caught:
        check_profiles(card(), [up_to(shape)], *limits)
    named = str(caught.value).split("at most ")[1].split()[0]
    check_profiles(card(), [up_to(named)], *limits)


def test_tensorrt_rtx_counts_elements_at_the_usual_size_alone():
    own, limit = card(config={"scales": [2], "channels": 8}, precision="fp32"), 2**40
    check_profiles(own, [read_profile("16x16,256x256,8192x8192"), up_to("1080x1920")], None, None, limit)
    with pytest.raises(UsageError, match=r"1,099,511,627,776 at most as the usual size: state at most") as caught:
        check_profiles(own, [read_profile("16x16,2048x2048,8192x8192")], None, None, limit)
    named = str(caught.value).split("state at most ")[1].split()[0]
    check_profiles(own, [read_profile(f"16x16,{named},8192x8192")], None, None, limit)


def test_sizes_at_which_half_precision_may_overflow_are_warned_of_whatever_the_limit():
    own = card(config={"scales": [8]})
    assert "1x8192x8192 has 1,048,576 keys at scale 8: beyond 65,504" in overflow_risk(own, up_to("8192x8192"))
    for other in (card(config={"scales": [8]}, precision="fp32"), card(config={"scales": []})):
        assert overflow_risk(other, up_to("8192x8192")) is None
    assert overflow_risk(own, up_to("8x96x96")) is None
