"""An exported graph with the inputs and the output that other programs want, in the place of ours."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pnen_runtime.backends.ort import OrtBackend, import_onnxruntime
from pnen_runtime.card import Card
from pnen_runtime.errors import EngineError, ParityError

SIDES = ("height", "width")  # names of the free sizes
LEVELS = 255.0  # 8-bit levels of noise that a noise map of 1 means
EQUAL = 1e-4  # between the file before and after: strengths may go through a division and back
INSIDE, EXCESS, SMOOTH, ASKED = "pnen.inside", "pnen.excess", "pnen.smooth", "pnen.asked"
Asks = Literal["noise map", "plane"]  # a second input `sigma` of σ / 255, or the strength as a fourth channel


def with_ends(
    model: onnx.ModelProto, card: Card, strength: float | None, asks: Asks, batch: str | int = "batch"
) -> onnx.ModelProto:
    """The graph with the input `input` and the output `output`, (batch, 3, height, width) float32.

    A strength is fixed in the graph; an adjustable network without one is asked for it as `asks` says. What of the
    picture lies outside [0, 1] does not go through the network, and is added to its result unchanged.
    """
    graph = model.graph
    names = {"image": INSIDE, "smooth": SMOOTH}
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    constants = {"pnen.zero": 0.0, "pnen.one": 1.0}
    integers: dict[str, list[int]] = {}
    free = bool(card.strength) and strength is None
    plane = free and asks == "plane"
    inputs, output = [_end("input", 4 if plane else 3, batch)], _end("output", 3, batch)
    picture, nodes = "input", []
    if plane:
        picture, integers["pnen.parts"] = "pnen.picture", [3, 1]
        nodes.append(helper.make_node("Split", ["input", "pnen.parts"], [picture, ASKED], axis=1))
    nodes += [helper.make_node("Clip", [picture, "pnen.zero", "pnen.one"], [INSIDE]),
              helper.make_node("Sub", [picture, INSIDE], [EXCESS])]  # fmt: skip
    if free:
        constants |= {"pnen.least": float(card.strength["least"]), "pnen.most": float(card.strength["most"])}
        if not plane:
            inputs.append(_end("sigma", 1, batch))
            constants["pnen.levels"] = LEVELS
            nodes.append(helper.make_node("Mul", ["sigma", "pnen.levels"], [ASKED]))
        nodes.append(helper.make_node("Clip", [ASKED, "pnen.least", "pnen.most"], ["strength"]))
    elif strength is not None and card.strength:
        constants["pnen.strength"], integers["pnen.first"] = strength, [0]
        nodes += [helper.make_node("Gather", [INSIDE, "pnen.first"], ["pnen.channel"], axis=1),
                  helper.make_node("Mul", ["pnen.channel", "pnen.zero"], ["pnen.nothing"]),
                  helper.make_node("Add", ["pnen.nothing", "pnen.strength"], ["strength"])]  # fmt: skip
    graph.initializer.extend(numpy_helper.from_array(np.array(v, np.float32), key) for key, v in constants.items())
    graph.initializer.extend(numpy_helper.from_array(np.array(v, np.int64), key) for key, v in integers.items())
    nodes += [*graph.node, helper.make_node("Add", [SMOOTH, EXCESS], ["output"])]
    for part, found in ((graph.node, nodes), (graph.input, inputs), (graph.output, [output])):
        del part[:]  # type: ignore[attr-defined]
        part.extend(found)  # type: ignore[attr-defined]
    del model.metadata_props[:]  # the runtime's card, which says other names
    onnx.checker.check_model(model)
    return model


def _end(name: str, channels: int, batch: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, channels, *SIDES])


def prove(model: onnx.ModelProto, source: Path, card: Card, strength: float | None) -> None:
    """ParityError where the new graph gives another picture than the file that it was made of, at this strength."""
    image = np.random.default_rng(0).random((1, 3, 64, 80), np.float32)
    plane = np.full((1, 1, 64, 80), strength, np.float32) if card.strength and strength is not None else None
    backend = OrtBackend(source)
    expected = backend.run(image, plane)
    backend.close()
    onnxruntime: Any = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        ends = {end.name: end.shape[1] for end in session.get_inputs()}
        given = {"input": image if ends["input"] == 3 or plane is None else np.concatenate([image, plane], 1)}
        if "sigma" in ends and plane is not None:
            given["sigma"] = plane / np.float32(LEVELS)
        (found,) = session.run(["output"], given)
    except Exception as error:  # ONNX Runtime's exceptions have no common type
        raise EngineError(f"{source} cannot be written anew: {' '.join(str(error).split())[:200]}") from error
    apart = float(np.abs(found - expected).max())
    if not apart <= EQUAL:
        raise ParityError(f"{source}: the file that was made of it differs from it by {apart:.2g}, and is not written")
