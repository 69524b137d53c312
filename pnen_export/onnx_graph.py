"""From a deployed network to an ONNX graph."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from torch.export import Dim

from .deploy import Deployed
from .lowering import Target, lower
from .narrow import narrow

OPSET = (
    18  # from 23 on attention becomes one operator, which TensorRT builds in part and ONNX Runtime's CPU cannot fuse
)


def export_graph(network: Deployed, channels: int, target: Target) -> onnx.ModelProto:
    """The network as ONNX: `image` → `smooth`, float32 (batch, channels, height, width), all but the channels dynamic.

    An adjustable network has a second input, `strength`, float32 (batch, 1, height, width).
    """
    return made_for(traced(network, channels), target)


def traced(network: Deployed, channels: int) -> onnx.ModelProto:
    """The graph for any target, with attention as an operator of ours: what takes the longest."""
    examples = {"image": torch.rand(2, channels, 37, 53)}  # neither square nor even, so that nothing is specialised
    if network.strengths:
        examples["strength"] = torch.full((2, 1, 37, 53), float(network.strengths[0]))
    axes = {0: Dim("batch", min=1), 2: Dim("height", min=16), 3: Dim("width", min=16)}
    with _quiet():
        program = torch.onnx.export(
            network,
            tuple(examples.values()),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(axes,) * len(examples),
            input_names=list(examples),
            output_names=["smooth"],
            verbose=False,
        )
    assert program is not None  # with `dynamo` it never is
    return program.model_proto


def made_for(graph: onnx.ModelProto, target: Target) -> onnx.ModelProto:
    """A copy for `target`: "onnx" has standard operators only, in the pattern that TensorRT fuses (needs `equal_heads`
    in the network); "ort" has ONNX Runtime's fused attention, which never holds the scores.
    """
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    lower(model, target)
    _forget_origin(model)
    if target == "ort":
        narrow(model)
    onnx.checker.check_model(model, full_check=target == "onnx")
    return model


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes: they hold stack traces with this machine's paths, and double a small file."""
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del noted.metadata_props[:]
        noted.doc_string = ""
    del graph.value_info[:]
    model.producer_name = "pnen"


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own old calls and of dimensions that are right."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)
