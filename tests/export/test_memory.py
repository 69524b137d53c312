"""No figure of memory that is too small is passed on as it is, at any size, grid or network."""

from dataclasses import replace

import pytest
from onnx import helper

from pnen_export.engine import build_engine
from pnen_export.engine_command import engine_report
from pnen_export.memory import least_bytes
from pnen_export.profiles import Profile, places, read_profile
from pnen_export.record import make_card
from pnen_runtime.card import KEY, Card

L0 = {"channels": 48, "grid": 2, "scales": []}
BARE = {"channels": 8, "grid": 1, "scales": []}


def card(**settings: object) -> Card:
    return Card(network="pnen", task={"filter": "l0"}, precision="fp16", config=settings)


def up_to(size: str) -> Profile:
    return read_profile(f"1x16x16,{size},{size}")


@pytest.mark.parametrize(
    ("config", "tile", "side", "told", "megabytes"),  # as TensorRT-RTX 1.7 said them
    [(L0, 900_000_000, 13_000, 31_949_192_192, None), (L0, 900_000_000, 18_600, 65_394_632_192, 65_395),
     (L0, 900_000_000, 18_700, 8_750_442_496, 32_727), (L0, 900_000_000, 20_000, 608_192_000, 37_436),
     (L0, 18_125_824, 18_700, 8_750_442_496, 16_785), (L0, 18_125_824, 23_000, 801_692_160, 25_392),
     (L0, 18_125_824, 30_000, 1_358_192_128, 43_200), (L0, 18_125_824, 60_000, 1_808_192_000, 172_800),
     (BARE, 24_346_624, 16_384, 29_007_413_248, 29_007), (BARE, 24_346_624, 23_000, 8_192_000, 27_155),
     (BARE | {"grid": 4}, 10_837_504, 16_384, 8_595_703_808, None),
     (BARE | {"grid": 4}, 10_837_504, 24_000, 3_744_000_000, 3_744),
     (BARE | {"grid": 3}, 18_644_992, 46_000, 5_643_158_016, 26_805)],
)  # fmt: skip
def test_a_figure_that_leaves_tensors_out_becomes_at_least_what_is_needed(config, tile, side, told, megabytes):
    own, tiles = card(**config), up_to("8x768x768" if tile == 900_000_000 else "8x96x96")
    profiles, figures = [tiles, up_to(f"{side}x{side}")], [tile, told]
    least = least_bytes(own, profiles, figures, config["channels"])
    assert least[0] is None
    assert (least[1] and round(least[1] / 1e6)) == megabytes
    built = {"seconds": 1.0, "half_share": {"graph": 1.0}, "activation_bytes": figures, "least_bytes": least,
             "attention_fused": [None, None]}  # fmt: skip
    engine = {"flavour": "rtx", "version": "1.7", "gpu": None, "compute_capabilities": ["SM89"], "built": built,
              "profiles": [[list(size) for size in profile] for profile in profiles]}  # fmt: skip
    line = engine_report(replace(own, engine=engine, parity={"not_run": "not asked for"}))[2]
    if megabytes:
        assert f", at least {least[1] / 1e6:.0f} MB (TensorRT says {told / 1e6:.0f}, but" in line
    else:
        assert line.endswith(f" to 1x{side}x{side}, {told / 1e6:.0f} MB")
    Card.from_json(replace(own, engine={"built": built}).to_json(), "card")


def test_what_a_card_cannot_say_is_cut_to_what_it_can():
    own, huge = card(channels=64), up_to("65536x65536x65536")
    assert least_bytes(own, [huge], [8_192_000], 64) == [2**40]
    assert least_bytes(own, [huge], [], 64) == []


def test_scores_of_another_profile_are_no_measure():
    """Attention that is not fused: 1x512x512 has fewer places than 8x192x192, and seven times the keys."""
    own = card(channels=32, scales=[8])
    profiles = [up_to(size) for size in ("8x96x96", "8x192x192", "1x512x512")]
    assert least_bytes(own, profiles, [100_000_000, 900_000_000, 4_500_000_000], 64) == [None] * 3


@pytest.fixture
def figures(tmp_path):
    """figures(graph, card, sides) → card, profiles, the builder's figures for squares, and what is needed at least."""
    rtx = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed", exc_type=ImportError)

    def build(graph, own, sides):
        helper.set_model_props(graph, {KEY: own.to_json()})
        (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
        profiles = [read_profile(f"16x16,96x96,{side}x{side}") for side in sides]
        built = build_engine(rtx, tmp_path / "model.onnx", tmp_path / "model.engine", profiles=profiles,
                             key_limit=None).engine["built"]  # fmt: skip
        return profiles, built["activation_bytes"], built["least_bytes"]

    return build


def hold(own, profiles, told, least):
    """The first figure is right, and no other is a tenth too small without being called so."""
    assert least[0] is None
    rate = told[0] / places(own, profiles[0].largest)
    for profile, figure, needed in zip(profiles, told, least, strict=True):
        if needed is None:
            assert figure > 0.9 * rate * places(own, profile.largest), profile
        else:
            floor = 2 * 2 * int(own.config["channels"]) * places(own, profile.largest)
            assert max(figure, floor) <= needed <= 1.1 * rate * places(own, profile.largest), profile


@pytest.mark.rtx
@pytest.mark.slow
@pytest.mark.parametrize("name", ["l0", "without block", "adjustable halves", "adjustable thirds", "quarters",
                                  "pyramid", "resnet", "djf", "ceilnet", "rdn", "memnet"])  # fmt: skip
def test_no_network_has_a_figure_that_is_too_small(network, graph, checkpoint, figures, name):
    model = network(name)
    default = {"strength": model.config.strengths[1]} if getattr(model.config, "strengths", ()) else {}
    own = make_card(checkpoint(model, name if name in ("resnet", "djf", "ceilnet", "rdn", "memnet") else "pnen",
                               task={"filter": "l0", "lambda": 0.02} | default))  # fmt: skip
    own = replace(own, precision="fp16")
    sides = (4096, 9000, 12_000, 16_384, 18_600, 18_700, 24_000, 46_000)
    hold(own, *figures(graph(name, "fp16"), own, sides))
