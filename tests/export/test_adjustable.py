"""Files of adjustable networks and of coarse grids: two inputs, plain weights, one way back to pixels."""

from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from pnen_export import export as module
from pnen_export.export import export
from pnen_export.inputs import Input, at_strengths, make_batch
from pnen_export.logits import largest_logit
from pnen_export.parity import Mismatch, Reference, require, torch_run
from pnen_runtime import Smoother
from pnen_runtime.tiles import blend_for, smooth_tiled

ADJUSTABLE = ["adjustable", "adjustable thirds", "adjustable halves", "adjustable pixels"]
KINDS = [("fp32", "onnx"), ("fp32", "ort"), ("fp16", "onnx"), ("fp16", "ort")]
SIZES = [(1, 16, 16), (1, 37, 53), (2, 61, 90)]
TASK = {"filter": "l0", "strength": 0.02, "kappa": 2.0, "strengths": [0.002, 0.02, 0.2]}
RANGE = {"least": 0.002, "default": 0.02, "most": 0.2, "scale": "log"}


def few(channels: int, _tile: int = 0) -> list[Input]:
    """A photograph and noise at sizes that no grid divides, and at the smallest."""
    return [
        Input(kind, f"{batch}x{height}x{width}", [make_batch(kind, batch, height, width, channels)])
        for kind in ("photograph", "noise")
        for batch, height, width in SIZES
    ]


def range_of(model: torch.nn.Module) -> dict:
    least, most = model.config.strengths
    return {"least": least, "default": (least * most) ** 0.5, "most": most, "scale": model.config.strength_scale}


@pytest.mark.parametrize(("precision", "target"), KINDS)
@pytest.mark.parametrize("name", ADJUSTABLE)
def test_computes_what_pytorch_computes_at_every_strength_and_size(network, graph, session, name, precision, target):
    model = network(name)
    reference = Reference(torch_run(model), at_strengths(few(3), range_of(model)))
    rows = reference.compare(session(graph(name, precision, target)), precision)
    assert len(rows) == 3 * 6 + 3 and len({row.strength for row in rows}) == 4
    assert all(row.passed for row in rows), [row for row in rows if not row.passed]


@pytest.mark.parametrize(("precision", "target"), KINDS)
def test_image_and_strength_are_float32_of_any_batch_height_and_width(graph, precision, target):
    model = graph("adjustable", precision, target)
    ends = [(end.name, end.type.tensor_type) for end in (*model.graph.input, *model.graph.output)]
    assert {kind.elem_type for _, kind in ends} == {TensorProto.FLOAT}
    assert [(name, [d.dim_param or d.dim_value for d in kind.shape.dim]) for name, kind in ends] == [
        (name, ["batch", channels, "height", "width"])
        for name, channels in (("image", 3), ("strength", 1), ("smooth", 3))
    ]


@pytest.mark.parametrize(("precision", "target"), KINDS)
@pytest.mark.parametrize("name", ["adjustable", "adjustable thirds"])
def test_weights_are_plain_and_pixels_are_shuffled_once(graph, name, precision, target):
    model = graph(name, precision, target).graph
    nodes, weights = Counter(node.op_type for node in model.node), {entry.name for entry in model.initializer}
    assert all(node.input[1] in weights for node in model.node if node.op_type == "Conv")
    assert nodes["DepthToSpace"] == 1 and nodes["Pad"] == 2 and not nodes["ReduceMean"] and not nodes["Split"]
    for node in model.node:
        attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        if node.op_type == "DepthToSpace":
            assert attributes == {"mode": b"CRD", "blocksize": 2 if name == "adjustable" else 3}
        if node.op_type == "Pad":
            assert attributes["mode"] == b"edge" and node.input[1] in weights


@pytest.mark.parametrize("target", ["onnx", "ort"])
def test_strength_is_encoded_in_float32_in_half_files_too(graph, target):
    """On both ways, up to the convolution of the map and to the contrast that divides what the entry sees."""
    model = graph("adjustable", "fp16", target)
    types = {entry.name: entry.data_type for entry in model.graph.initializer} | {"strength": TensorProto.FLOAT}
    follow = {name: [node for node in model.graph.node if name in node.input and node.op_type != "Shape"]
              for name in ("strength", *(name for node in model.graph.node for name in node.output))}  # fmt: skip
    ways = []

    def walk(name: str, passed: tuple[str, ...]) -> None:
        for node in follow[name]:
            if node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT16:
                ways.append(passed)
            elif node.op_type not in ("Mul", "Exp") or "Exp" not in passed:  # from there on it is the way out
                known = [types[entry] for entry in node.input if entry in types]
                assert node.op_type == "Slice" or set(known) <= {TensorProto.FLOAT}
                walk(node.output[0], (*passed, node.op_type))

    walk("strength", ())
    encoded = ("Clip", "Log", "Mul", "Sub")
    assert sorted(ways) == sorted([encoded, ("Slice", "Slice", *encoded, "Mul", "Exp")])


@pytest.fixture(scope="module")
def files(tmp_path_factory, network, checkpoint):
    """The files of an adjustable network with a block, from its checkpoint."""
    made = checkpoint(network("adjustable"), task=TASK, licence="CC0-1.0", trained_on="free pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "make_inputs", few)
        patch.setattr(module, "photograph_tiles", lambda channels, _: few(channels)[1].batches)
        folder = tmp_path_factory.mktemp("adjustable")
        return list(export(made, folder, "model", precisions=["fp32", "fp16"]))


def test_every_file_is_proven_at_three_strengths_and_at_a_map(files):
    assert len(files) == 4
    for file in files:
        card = file.card
        assert card.strength == RANGE | {"unit": "λ of L0 gradient minimisation"}
        assert (card.licence, card.trained_on) == ("CC0-1.0", "free pictures")
        at = Counter(row["strength"] for row in card.parity["rows"])
        assert at == {"0.002": 6, "0.02": 6, "0.2": 6, "a map": 3}
        assert all(row.passed for row in (*file.rows, *file.rounding))
        assert len(file.rounding) == (21 if card.precision == "fp16" else 0)


@pytest.mark.parametrize("number", range(4))
def test_smoother_runs_the_file_at_numbers_and_maps(files, network, number):
    image = np.random.default_rng(0).random((45, 61, 3), np.float32)
    run, strengths = torch_run(network("adjustable")), np.full((45, 61), 0.004, np.float32)
    strengths[:, 30:] = 0.2
    with Smoother(files[number].path) as smoother:
        for strength in (None, 0.002, 0.05, strengths):
            wanted = 0.02 if strength is None else strength
            card = smoother.card
            expected = smooth_tiled(run, image, card.tile, card.tile_step, blend_for(card.config), grid=card.grid,
                                    strength=wanted, border=card.border)  # fmt: skip
            np.testing.assert_allclose(smoother.run(image, strength=strength), expected, atol=2 / 255)


def test_a_file_wrong_at_one_strength_alone_is_refused(network, graph, session):
    """As one whose range was cut: at the least and the default it is right."""
    cut = onnx.ModelProto.FromString(graph("adjustable").SerializeToString())
    clips = {node.input[2] for node in cut.graph.node if node.op_type == "Clip"}
    (most,) = (entry for entry in cut.graph.initializer if entry.name in clips)
    most.CopyFrom(numpy_helper.from_array(np.float32(0.05), most.name))
    reference = Reference(torch_run(network("adjustable")), at_strengths(few(3), RANGE))
    rows = reference.compare(session(cut), "fp32")
    assert {row.strength for row in rows if not row.passed} == {"0.2", "a map"}
    with pytest.raises(Mismatch, match=r"x\d+ at strength (0\.2|a map), is off"):
        require(rows, "model.onnx", "fp32")


def test_batches_keep_the_strengths_of_their_pictures():
    inputs = at_strengths([Input("photograph", "two", few(3)[2].batches * 2)], RANGE)
    whole = Reference(lambda image, strength: image + strength, inputs)
    for at_once in (1, 3):
        part = whole.in_batches(lambda *_: at_once)  # noqa: B023
        assert {len(batch) for given in part.inputs for batch in given.batches} == ({1} if at_once == 1 else {1, 3})
        assert all(row.passed for row in part.compare(lambda image, strength: image + strength, "fp32"))


def test_a_map_holds_the_whole_range_and_differs_between_pictures():
    (given,) = at_strengths([Input("photograph", "two", [np.zeros((2, 3, 20, 30), np.float32)])], RANGE)[-1:]
    (strengths,) = given.maps
    assert strengths.shape == (2, 1, 20, 30) and strengths.dtype == np.float32
    assert strengths.min() == np.float32(0.002) and strengths.max() == np.float32(0.2)
    np.testing.assert_allclose(strengths[0], strengths[1][:, ::-1, ::-1], rtol=1e-5)
    assert not any(given.maps or given.strength for given in at_strengths(few(3), {}))


def test_the_largest_logit_is_that_of_every_strength(network):
    model, tiles = network("adjustable"), few(3)[1].batches
    each = [largest_logit(model, tiles, [strength]) for strength in (0.002, 0.02, 0.2)]
    assert len(set(each)) == 3
    assert largest_logit(model, tiles, (0.002, 0.02, 0.2)) == max(each)
