"""Tiny ONNX models that carry their own answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pnen_runtime.card import KEY, Card

ANSWERS = {
    "identity": lambda image: image,
    "invert": lambda image: 1 - image,
    "flat": lambda image: np.zeros_like(image),
    "nan": lambda image: np.full_like(image, np.nan),
    "grey": lambda image: image,
    "dim": lambda image, strength: image * strength,
}
RANGE = {"least": 0.002, "most": 0.2, "default": 0.02, "unit": "a share", "scale": "log"}  # of the adjustable "dim"


def nodes(kind: str) -> list:
    if kind in ("identity", "grey"):
        return [helper.make_node("Identity", ["image"], ["smooth"])]
    if kind == "dim":
        return [helper.make_node("Mul", ["image", "strength"], ["smooth"])]
    one = numpy_helper.from_array(np.float32({"invert": 1, "flat": 0, "nan": np.nan}[kind]))
    constant = helper.make_node("Constant", [], ["constant"], value=one)
    operation, inputs = ("Sub", ["constant", "image"]) if kind == "invert" else ("Mul", ["image", "constant"])
    return [constant, helper.make_node(operation, inputs, ["smooth"])]


def write_model(path: Path, kind: str = "identity", card: Card | str | None = None, output: str = "smooth") -> Path:
    """Write a graph of `kind` to `path`; `card` may also be any text, or None for no card."""
    channels = 1 if kind == "grey" else 3
    shape = ["B", channels, "H", "W"]
    strength = helper.make_tensor_value_info("strength", TensorProto.FLOAT, ["B", 1, "H", "W"])
    graph = helper.make_graph(
        nodes(kind),
        kind,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape), *([strength] if kind == "dim" else [])],
        [helper.make_tensor_value_info("smooth", TensorProto.FLOAT, shape)],
    )
    if output != "smooth":
        graph.node[-1].output[0] = graph.output[0].name = output
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    if card is not None:
        text = card if isinstance(card, str) else card.to_json()
        helper.set_model_props(model, {KEY: text})
    onnx.save(model, path)
    return path


def a_card(**changes: object) -> Card:
    return Card(
        **{"network": "toy", "task": {"filter": "none"}, "tile": 32, "tile_step": 20, "target": "ort"} | changes
    )


@pytest.fixture(scope="session")
def card():
    """card(**fields) → a card of a toy network."""
    return a_card


@pytest.fixture(scope="session")
def write():
    """write(path, kind, card or text or None, name of the output) → path of an ONNX file."""
    return write_model


@pytest.fixture
def model(tmp_path):
    """model(kind, **card fields) → path of an ONNX file."""

    def write(kind: str = "identity", **changes: object) -> Path:
        if kind == "grey":
            changes["channels"] = 1
        if kind == "dim":
            changes.setdefault("strength", RANGE)
        return write_model(tmp_path / f"{kind}.onnx", kind, a_card(**changes))

    return write


@pytest.fixture(scope="session")
def answers():
    """What each kind of model gives, as a function of the batch."""
    return ANSWERS
