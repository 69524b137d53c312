"""Attention in the exported graphs."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pnen_export.lowering import lower_attention


def follow(graph, name, *operators):
    """Walk from a tensor to its makers, the first inputs of which must be of these operators; the nodes on the way."""
    made_by = {output: node for node in graph.node for output in node.output}
    path = []
    for operator in operators:
        assert made_by[name].op_type == operator
        path.append(made_by[name])
        name = path[-1].input[0]
    return path


def permutation(node):
    return list(node.attribute[0].ints)


@pytest.mark.parametrize(
    ("name", "precision", "count"),
    [("pyramid", "fp16", 6), ("pyramid", "fp32", 6), ("wide keys", "fp32", 1), ("last stage only", "fp32", 1)],
)
def test_attention_has_the_pattern_that_tensorrt_fuses(graph, name, precision, count):
    proto = graph(name, precision, "onnx").graph
    constants = {weight.name: numpy_helper.to_array(weight) for weight in proto.initializer}
    found = [node for node in proto.node if node.op_type == "Softmax"]
    assert len(found) == count
    for softmax in found:
        (scores,) = follow(proto, softmax.input[0], "MatMul")
        (product,) = (node for node in proto.node if softmax.output[0] in node.input)
        ways = [
            (scores.input[0], [0, 2, 1, 3], 0.5),  # query, (B, 1, N, d)
            (scores.input[1], [0, 2, 3, 1], 2.0),  # key, (B, 1, d, R)
            (product.input[1], [0, 2, 1, 3], None),  # value, (B, 1, R, d)
        ]
        widths = set()
        for tensor, order, factor in ways:
            operators = ["Transpose", "Reshape", *(["Mul"] if factor else [])]
            transpose, reshape, *multiply = follow(proto, tensor, *operators)
            assert permutation(transpose) == order
            assert constants[reshape.input[1]].tolist() == [0, 0, 1, -1]
            assert [constants[node.input[1]] for node in multiply] == ([factor] if factor else [])
            pixels = (multiply or [reshape])[-1].input[0]
            *_, convolution = follow(proto, pixels, "Transpose", "Reshape", "Conv")
            widths.add(len(constants[convolution.input[1]]))
        assert len(widths) == 1
        assert widths.pop() % 8 == 0
        (back,) = (node for node in proto.node if product.output[0] in node.input)
        (out,) = (node for node in proto.node if back.output[0] in node.input)
        assert (back.op_type, permutation(back), out.op_type) == ("Transpose", [0, 2, 1, 3], "Reshape")
        assert constants[out.input[1]].tolist() == [0, 0, -1]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_ort_has_one_fused_operator_for_each_scale(graph, precision):
    proto = graph("pyramid", precision, "ort").graph
    fused = [node for node in proto.node if node.op_type == "MultiHeadAttention"]
    assert len(fused) == 6
    for node in fused:
        settings = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        assert (node.domain, len(node.input), settings) == ("com.microsoft", 3, {"num_heads": 1, "scale": 1.0})
    assert not {"MatMul", "Softmax"} & {node.op_type for node in proto.node}


@pytest.mark.parametrize("target", ["onnx", "ort"])
def test_both_forms_are_softmax_of_the_products_without_a_scale(session, target):
    shapes = {"image": ["B", "N", 16], "key": ["B", "R", 16], "value": ["B", "R", 16], "smooth": ["B", "N", 16]}
    infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    random = np.random.default_rng(0)
    query, key, value = (random.standard_normal((2, n, 16)).astype(np.float32) for n in (7, 5, 5))
    graph = helper.make_graph(
        [helper.make_node("Attention", ["image", "key", "value"], ["seen"], domain="pnen"),
         helper.make_node("Identity", ["seen"], ["smooth"])],
        "attention", [infos["image"]], [infos["smooth"]],
        [numpy_helper.from_array(key, "key"), numpy_helper.from_array(value, "value")],
        value_info=[helper.make_tensor_value_info("seen", TensorProto.FLOAT, ["B", "N", 16])])  # fmt: skip
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("pnen", 1)], ir_version=10
    )
    lower_attention(model, target)
    weights = np.exp(np.einsum("bnd,brd->bnr", query, key))
    expected = np.einsum("bnr,bre->bne", weights / weights.sum(2, keepdims=True), value)
    np.testing.assert_allclose(session(model)(query), expected, atol=1e-5)
