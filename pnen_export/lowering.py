"""What each target needs in place of the exporter's nodes: its own attention, and shapes that every importer reads."""

from typing import Any, Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper

Target = Literal["onnx", "ort"]
QUERY_FACTOR = 0.5  # and its inverse on the keys: TensorRT fuses only scaled attention, and powers of two round nothing


def lower(model: onnx.ModelProto, target: Target) -> None:
    """Make the exported graph one for `target`."""
    lower_attention(model, target)
    if target == "onnx":
        lower_shapes(model.graph)


def lower_shapes(graph: onnx.GraphProto) -> None:
    """Replace each `Shape` of some dimensions by a `Gather` from the whole shape.

    The importers of TensorRT before 10 take the whole shape whatever `start` and `end` say.
    """
    infos = {info.name: info.type.tensor_type.shape.dim for info in (*graph.input, *graph.value_info)}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "Shape" or not node.attribute:
            nodes.append(node)
            continue
        (source,), (result,) = node.input, node.output
        limits = {attribute.name: attribute.i for attribute in node.attribute}
        wanted = np.arange(len(infos[source]))[limits.get("start", 0) : limits.get("end")]
        graph.initializer.append(numpy_helper.from_array(wanted, f"{result}_axes"))
        nodes.append(helper.make_node("Shape", [source], [f"{result}_whole"], f"{result}_Shape"))
        nodes.append(helper.make_node("Gather", [f"{result}_whole", f"{result}_axes"], [result], node.name, axis=0))
    _replace(graph.node, nodes)


def lower_attention(model: onnx.ModelProto, target: Target) -> None:
    """Replace each `pnen::Attention` node, and the domain with it."""
    graph = model.graph
    types = {info.name: info.type.tensor_type.elem_type for info in graph.value_info}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.domain != "pnen":
            nodes.append(node)
        elif target == "ort":
            nodes.append(_fused_attention(node))
        else:
            nodes += _plain_attention(graph, node, types[node.output[0]])
    opsets = [entry for entry in model.opset_import if entry.domain != "pnen"]
    if target == "ort":
        opsets.append(helper.make_opsetid("com.microsoft", 1))
    _replace(graph.node, nodes)
    _replace(model.opset_import, opsets)
    _replace(model.functions, [function for function in model.functions if function.domain != "pnen"])


def _replace(field, entries: list) -> None:
    del field[:]
    field.extend(entries)


def _fused_attention(node: onnx.NodeProto) -> onnx.NodeProto:
    """ONNX Runtime's own operator: fused for float32 on a CPU where it has one head and no mask."""
    return helper.make_node(
        "MultiHeadAttention", node.input, node.output, node.name, domain="com.microsoft", num_heads=1, scale=1.0
    )


def _plain_attention(graph: onnx.GraphProto, node: onnx.NodeProto, element: int) -> list[onnx.NodeProto]:
    """MatMul, Softmax, MatMul with one head made by Reshape and Transpose: of many equal forms the one TensorRT fuses.

    Its log claims to fuse others too; only the builder's activation memory tells. Change nothing here without that.
    """
    query, key, value = node.input
    result = node.output[0]
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, values: np.ndarray) -> str:
        graph.initializer.append(numpy_helper.from_array(values, f"{result}_{name}"))
        return f"{result}_{name}"

    def add(operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        output = f"{result}_{name}" if name else result
        nodes.append(helper.make_node(operator, inputs, [output], f"{output}_{operator}", **attributes))
        return output

    dtype = helper.tensor_dtype_to_np_dtype(element)
    one_head, no_head = constant("one_head", np.array([0, 0, 1, -1])), constant("no_head", np.array([0, 0, -1]))
    down, up = constant("down", np.array(QUERY_FACTOR, dtype)), constant("up", np.array(1 / QUERY_FACTOR, dtype))
    q = add("Reshape", "q4", add("Mul", "q", query, down), one_head)  # (B, N, 1, d)
    k = add("Reshape", "k4", add("Mul", "k", key, up), one_head)  # (B, R, 1, d)
    v = add("Reshape", "v4", value, one_head)  # (B, R, 1, d)
    q = add("Transpose", "qh", q, perm=[0, 2, 1, 3])  # (B, 1, N, d)
    k = add("Transpose", "kh", k, perm=[0, 2, 3, 1])  # (B, 1, d, R)
    v = add("Transpose", "vh", v, perm=[0, 2, 1, 3])  # (B, 1, R, d)
    weights = add("Softmax", "weights", add("MatMul", "scores", q, k), axis=-1)
    seen = add("Transpose", "seen4", add("MatMul", "seen", weights, v), perm=[0, 2, 1, 3])  # (B, N, 1, d)
    add("Reshape", "", seen, no_head)
    return nodes
