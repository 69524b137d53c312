"""From a deployed network to an ONNX graph, its attention lowered for whoever runs it."""

import contextlib
import io
import logging
import warnings
from typing import Literal

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch.export import Dim

from .deploy import Deployed

Target = Literal["onnx", "ort"]
OPSET = 18  # from 23 on attention becomes the Attention operator, which TensorRT builds in part and ONNX Runtime's CPU does not fuse
QUERY_FACTOR = 0.5  # times 1/QUERY_FACTOR on the keys: TensorRT fuses only attention with a scale, and powers of two round nothing


def export_graph(network: Deployed, channels: int, target: Target) -> onnx.ModelProto:
    """The network as ONNX: `image` → `smooth`, float32 (batch, channels, height, width), all but the channels dynamic.

    `target` "onnx" has standard operators only, in the pattern that TensorRT fuses (needs `equal_heads` in the network); "ort" has ONNX
    Runtime's fused attention, which never holds the scores.
    """
    example = torch.rand(2, channels, 37, 53)  # neither square nor even, so that nothing is specialised
    axes = {0: Dim("batch", min=1), 2: Dim("height", min=16), 3: Dim("width", min=16)}
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network, (example,), dynamo=True, opset_version=OPSET, dynamic_shapes=(axes,), input_names=["image"],
                output_names=["smooth"], verbose=False)  # fmt: skip
    finally:
        exporter.setLevel(level)
    model = program.model_proto
    lower_attention(model, target)
    onnx.checker.check_model(model, full_check=target == "onnx")
    return model


def lower_attention(model: onnx.ModelProto, target: Target) -> None:
    """Replace each private `pnen::Attention` node by what `target` runs best."""
    types = {info.name: info.type.tensor_type.elem_type for info in (*model.graph.value_info, *model.graph.input)}
    nodes = []
    for node in model.graph.node:
        if node.domain != "pnen":
            nodes.append(node)
        elif target == "ort":
            nodes.append(
                helper.make_node("MultiHeadAttention", node.input, node.output, node.name, domain="com.microsoft", num_heads=1, scale=1.0)
            )
        else:
            nodes += _plain_attention(model.graph, node, types[node.output[0]])
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    opsets = [entry for entry in model.opset_import if entry.domain != "pnen"]
    if target == "ort":
        opsets.append(helper.make_opsetid("com.microsoft", 1))
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    for function in [f for f in model.functions if f.domain == "pnen"]:
        model.functions.remove(function)


def _plain_attention(graph: onnx.GraphProto, node: onnx.NodeProto, element: int) -> list[onnx.NodeProto]:
    """MatMul, Softmax, MatMul with one head made by Reshape and Transpose: of many equal forms the one that TensorRT fuses."""
    query, key, value = node.input
    result = node.output[0]
    dtype = helper.tensor_dtype_to_np_dtype(element)

    def constant(name: str, value: np.ndarray) -> str:
        graph.initializer.append(numpy_helper.from_array(value, f"{result}_{name}"))
        return graph.initializer[-1].name

    one_head, no_head = constant("one_head", np.array([0, 0, 1, -1])), constant("no_head", np.array([0, 0, -1]))
    down, up = (constant(name, np.array(factor, dtype)) for name, factor in (("down", QUERY_FACTOR), ("up", 1 / QUERY_FACTOR)))
    nodes: list[onnx.NodeProto] = []

    def add(operator: str, inputs: list[str], name: str, **attributes: object) -> str:
        output = name if name == result else f"{result}_{name}"
        nodes.append(helper.make_node(operator, inputs, [output], f"{output}_{operator}", **attributes))
        return output

    q = add("Transpose", [add("Reshape", [add("Mul", [query, down], "q"), one_head], "q4")], "qh", perm=[0, 2, 1, 3])  # (B, 1, N, d)
    k = add("Transpose", [add("Reshape", [add("Mul", [key, up], "k"), one_head], "k4")], "kh", perm=[0, 2, 3, 1])  # (B, 1, d, R)
    v = add("Transpose", [add("Reshape", [value, one_head], "v4")], "vh", perm=[0, 2, 1, 3])  # (B, 1, R, e)
    weights = add("Softmax", [add("MatMul", [q, k], "scores")], "weights", axis=-1)
    seen = add("Transpose", [add("MatMul", [weights, v], "seen")], "seen4", perm=[0, 2, 1, 3])  # (B, N, 1, e)
    add("Reshape", [seen, no_head], result)
    return nodes
