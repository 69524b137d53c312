"""A folder and a .dtmodel package for darktable's neural restore, which feeds tiles of sRGB, (1, 3, H, W) in [0, 1]."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pnen_runtime.backends.ort import OrtBackend, import_onnxruntime
from pnen_runtime.card import Card
from pnen_runtime.commands import version
from pnen_runtime.errors import EngineError, ParityError, UsageError
from pnen_runtime.files import replace_when_done
from pnen_runtime.info import describe_task
from pnen_runtime.strength import wanted_strength

from .onnx_file import read_onnx

TILES = (2048, 1536, 1024, 768, 512, 384, 256)  # that darktable tries, the largest first
SIDES = ("height", "width")  # names of the free sizes of a graph, which darktable sets to its tile
SIGMA = 255.0  # a noise map of 1 means so many 8-bit levels
FED = 25.0  # levels that darktable says of every picture, to a model with a noise map
EQUAL = 1e-6  # between the file before and after


def write(source: Path, name: str, folder: Path, strength: float | None) -> list[str]:
    """Write FOLDER/ID/config.json and model.onnx, and the package FOLDER/ID.dtmodel; what was written, in lines.

    Without a strength an adjustable denoiser has a noise map as its second input, and any other model its default.
    Raises UsageError for a model that enlarges or is grey, or a strength that it does not take.
    """
    card = read_onnx(source).card
    if "scale" in card.task or card.channels != 3:
        what = "enlarges the luma of a picture" if "scale" in card.task else "takes grey pictures"
        raise UsageError(f"{source} {what}, and darktable feeds colour; expected a model that smooths or denoises")
    mapped = bool(card.strength) and "noise" in card.task and strength is None
    wanted = None if mapped else wanted_strength(card, strength, 0, 0)
    fixed = None if wanted is None else float(wanted)
    identity = re.sub(r"[^a-z0-9-]+", "-", f"denoise-pnen-{name.removeprefix('denoise')}".lower()).strip("-")
    if fixed is not None:
        identity += f"-{fixed:g}".replace(".", "-")
    model = wrapped(onnx.load(source), card, fixed)
    prove(model, source, card, FED if mapped else fixed, mapped)
    place = folder / identity
    place.mkdir(parents=True, exist_ok=True)
    files = {
        "config.json": json.dumps(config(identity, name, card, fixed, mapped), ensure_ascii=False, indent=4) + "\n",
        "model.onnx": model.SerializeToString(deterministic=True),
    }
    for file, text in files.items():
        with replace_when_done(place / file) as temporary:
            temporary.write_bytes(text.encode() if isinstance(text, str) else text)
    package = folder / f"{identity}.dtmodel"
    with replace_when_done(package) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(place / file, f"{identity}/{file}")
    lines = [f"written: {place} (config.json, model.onnx)",
             f"written: {package}, for darktable's preferences, AI, install from file"]  # fmt: skip
    if mapped:
        lines.append(f"darktable tells it σ {FED:g} of every picture; --strength 10 writes one that always takes σ 10")
    return lines


def config(identity: str, name: str, card: Card, strength: float | None, mapped: bool) -> dict[str, Any]:
    """config.json."""
    most = max(TILES) if card.tile == "whole" else card.tile
    said = "" if strength is None else f" {strength:g}"
    return {
        "id": identity,
        "name": f"PNEN {name}{said}",
        "description": f"{card.network} for {describe_task(card)}{f', set to{said}' if said else ''}",
        "task": "denoise",
        "arch": "pnen",
        "backend": "onnx",
        "version": version(),
        "num_inputs": 2 if mapped else 1,
        "tiling": True,
        "spatial_dims": list(SIDES),
        "model_card": {
            "scope": "noise taken away" if "noise" in card.task else "edge-preserving smoothing",
            "license": card.licence or "unknown",
            "training_data": card.trained_on or "unknown",
            "paper": "arXiv 2008.09742",
        },
        "attributes": {"input_sizes": [tile for tile in TILES if tile <= most] or [min(TILES)], "color_space": "rgb"},
    }


def wrapped(model: onnx.ModelProto, card: Card, strength: float | None) -> onnx.ModelProto:
    """The graph with the inputs `input` and, for a strength that is not fixed, `sigma`, and the output `output`.

    What of the picture lies outside [0, 1] does not go through the network, and is added to its result unchanged.
    """
    graph = model.graph
    inside, excess, smooth = "pnen.inside", "pnen.excess", "pnen.smooth"
    names = {"image": inside, "smooth": smooth}
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    constants = {"pnen.zero": 0.0, "pnen.one": 1.0}
    before = [helper.make_node("Clip", ["input", "pnen.zero", "pnen.one"], [inside]),
              helper.make_node("Sub", ["input", inside], [excess])]  # fmt: skip
    inputs, output = [end("input", 3)], end("output", 3)
    if card.strength and strength is None:
        limits = {"pnen.least": card.strength["least"], "pnen.most": card.strength["most"], "pnen.levels": SIGMA}
        constants |= {key: float(value) for key, value in limits.items()}
        inputs.append(end("sigma", 1))
        before += [helper.make_node("Mul", ["sigma", "pnen.levels"], ["pnen.asked"]),
                   helper.make_node("Clip", ["pnen.asked", "pnen.least", "pnen.most"], ["strength"])]  # fmt: skip
    elif card.strength and strength is not None:
        constants["pnen.strength"] = float(strength)
        graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "pnen.first"))
        before += [helper.make_node("Gather", [inside, "pnen.first"], ["pnen.channel"], axis=1),
                   helper.make_node("Mul", ["pnen.channel", "pnen.zero"], ["pnen.nothing"]),
                   helper.make_node("Add", ["pnen.nothing", "pnen.strength"], ["strength"])]  # fmt: skip
    graph.initializer.extend(numpy_helper.from_array(np.array(value, np.float32), key)
                             for key, value in constants.items())  # fmt: skip
    nodes = [*before, *graph.node, helper.make_node("Add", [smooth, excess], ["output"])]
    for part, found in ((graph.node, nodes), (graph.input, inputs), (graph.output, [output])):
        del part[:]  # type: ignore[attr-defined]
        part.extend(found)  # type: ignore[attr-defined]
    del model.metadata_props[:]  # the runtime's card, which says other names
    onnx.checker.check_model(model)
    return model


def end(name: str, channels: int) -> onnx.ValueInfoProto:
    """An input or output of free size."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, *SIDES])


def prove(model: onnx.ModelProto, source: Path, card: Card, strength: float | None, mapped: bool) -> None:
    """ParityError where the new file differs from the one that it was made of."""
    image = np.random.default_rng(0).random((1, 3, 64, 80), np.float32)
    plane = None if strength is None else np.full((1, 1, 64, 80), strength, np.float32)
    backend = OrtBackend(source)
    expected = backend.run(image, plane)
    backend.close()
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        given = {"input": image} | ({"sigma": plane / np.float32(SIGMA)} if mapped and plane is not None else {})
        (found,) = session.run(["output"], given)
    except Exception as error:  # ONNX Runtime's exceptions have no common type
        raise EngineError(f"{source} cannot be written for darktable: {' '.join(str(error).split())[:200]}") from error
    apart = float(np.abs(found - expected).max())
    if not apart <= (EQUAL if not mapped else 1e-4):  # σ goes through a division and back
        raise ParityError(f"{source}: the file for darktable differs from it by {apart:.2g}, and was not written")
