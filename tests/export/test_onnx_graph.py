"""Exported graphs: what they promise to whoever reads them, and that they compute what PyTorch computes."""

from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from pnen_export.deploy import Deployed
from pnen_export.onnx_graph import export_graph, made_for, traced

NAMES = ["pyramid", "wide keys", "wang", "last stage only", "without block", "grey", "tiling"]
KINDS = [("fp32", "onnx"), ("fp32", "ort"), ("fp16", "onnx"), ("fp16", "ort")]
SIZES = [(1, 16, 16), (1, 17, 16), (1, 37, 53), (2, 61, 90)]
TOLERANCE = {"fp32": 2e-5, "fp16": 2e-3}  # of random networks with features of some units; the gate has its own


def tensor_types(graph: onnx.ModelProto) -> dict[str, int]:
    """The type of every tensor, as ONNX infers it."""
    inferred = onnx.shape_inference.infer_shapes(graph, strict_mode=True).graph
    types = {info.name: info.type.tensor_type.elem_type for info in (*inferred.value_info, *inferred.input)}
    return types | {weight.name: weight.data_type for weight in inferred.initializer}


@pytest.mark.parametrize(("precision", "target"), KINDS)
def test_takes_image_and_gives_smooth_as_float32_of_any_batch_height_and_width(graph, precision, target):
    model = graph("pyramid", precision, target)
    for end, name in zip((*model.graph.input, *model.graph.output), ("image", "smooth"), strict=True):
        kind = end.type.tensor_type
        dimensions = [dimension.dim_param or dimension.dim_value for dimension in kind.shape.dim]
        assert (end.name, kind.elem_type, dimensions) == (name, TensorProto.FLOAT, ["batch", 3, "height", "width"])


@pytest.mark.parametrize(("precision", "target"), KINDS)
def test_has_opset_18_and_only_the_operators_of_its_target(graph, precision, target):
    model = graph("pyramid", precision, target)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    assert opsets == ({"": 18} if target == "onnx" else {"": 18, "com.microsoft": 1})
    assert not model.functions
    assert {node.op_type for node in model.graph.node if node.domain} <= {"MultiHeadAttention"}
    onnx.checker.check_model(model, full_check=target == "onnx")


@pytest.mark.parametrize(("precision", "target"), KINDS)
def test_tells_nothing_of_the_machine_that_made_it(graph, precision, target):
    text = graph("pyramid", precision, target).SerializeToString()
    for trace in (b".py", b"packages", b"stack_trace", b"fx_node", b"File "):
        assert trace not in text


@pytest.mark.parametrize("target", ["onnx", "ort"])
def test_half_precision_is_typed_inside_and_the_image_is_added_in_float32(graph, target):
    model = graph("pyramid", "fp16", target)
    types = {weight.name: weight.data_type for weight in model.graph.initializer}
    weights = [name for node in model.graph.node if node.op_type == "Conv" for name in node.input[1:]]
    assert {types[name] for name in weights} == {TensorProto.FLOAT16}
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    to_half = [node for node in casts if node.attribute[0].i == TensorProto.FLOAT16]
    assert [node.input[0] for node in to_half] == ["image"]
    assert len(casts) == 1 + 2  # and one back for each exit
    (last,) = (node for node in model.graph.node if "smooth" in node.output)
    assert last.op_type == "Add"
    if target == "onnx":
        every = tensor_types(model)
        assert every[last.input[0]] == every[last.input[1]] == TensorProto.FLOAT
        attention = [node for node in model.graph.node if node.op_type in ("MatMul", "Softmax")]
        assert {every[name] for node in attention for name in node.input} == {TensorProto.FLOAT16}


def test_single_precision_has_nothing_in_half(graph):
    model = graph("pyramid")
    assert TensorProto.FLOAT16 not in tensor_types(model).values()
    assert "Cast" not in Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize(("precision", "target"), [("fp32", "ort"), ("fp16", "onnx")])
def test_two_exports_give_the_same_bytes(network, graph, precision, target):
    name = "pyramid" if precision == "fp16" else "wang"
    model = network(name)
    again = export_graph(Deployed(model, precision, equal_heads=target == "onnx"), 3, target)
    first = graph(name, precision, target)
    assert again.SerializeToString(deterministic=True) == first.SerializeToString(deterministic=True)


@pytest.mark.parametrize("target", ["onnx", "ort"])
@pytest.mark.parametrize("name", ["without block", "wang"])
def test_without_a_block_one_trace_serves_both_targets(network, graph, name, target):
    model = network(name)
    deployed = {kind: Deployed(model, equal_heads=kind == "onnx") for kind in ("onnx", "ort")}
    assert deployed["onnx"].blocks == deployed["ort"].blocks == (name != "without block")
    other = deployed[target if deployed[target].blocks else "ort" if target == "onnx" else "onnx"]
    shared = made_for(traced(other, model.config.image_channels), target)
    assert shared.SerializeToString(deterministic=True) == graph(name, "fp32", target).SerializeToString(
        deterministic=True)  # fmt: skip


@pytest.mark.parametrize("target", ["onnx", "ort"])
@pytest.mark.parametrize("name", NAMES)
def test_computes_what_pytorch_computes_at_any_size(network, graph, session, name, target):
    model, run = network(name), session(graph(name, "fp32", target))
    random = np.random.default_rng(0)
    sizes = [*SIZES, *((int(random.integers(1, 4)), *random.integers(16, 72, 2).tolist()) for _ in range(6))]
    for batch, height, width in sizes:
        x = random.random((batch, model.config.image_channels, height, width), np.float32)
        with torch.inference_mode():
            expected = model(torch.from_numpy(x))[-1].numpy()
        np.testing.assert_allclose(run(x), expected, atol=TOLERANCE["fp32"], err_msg=f"{batch}x{height}x{width}")


@pytest.mark.parametrize("target", ["onnx", "ort"])
def test_half_precision_stays_near_pytorch(network, graph, session, target):
    model, run = network("pyramid"), session(graph("pyramid", "fp16", target))
    for batch, height, width in SIZES:
        x = np.random.default_rng(0).random((batch, 3, height, width), np.float32)
        with torch.inference_mode():
            expected = model(torch.from_numpy(x))[-1].numpy()
        np.testing.assert_allclose(run(x), expected, atol=TOLERANCE["fp16"])
