"""ONNX files, the cards in them, and engines with their sidecars, damaged, on the way that `Smoother` takes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from pnen_export.onnx_file import read_onnx
from pnen_runtime import Smoother, Upscaler
from pnen_runtime.backends import open_backend
from pnen_runtime.card import KEY, Card
from pnen_runtime.cuda.driver import Gpu
from pnen_runtime.engine_file import misfit, read_engine, rebuild_advice, sidecar
from pnen_runtime.errors import BackendMissing
from pnen_runtime.info import describe_task
from pnen_runtime.models import BUNDLED
from pnen_runtime.onnx_card import read_onnx_card
from pnen_runtime.onnx_check import graph_sha256
from pnen_runtime.plan import plan_tiles

from .damage import Draw, as_json, damaged_bytes, damaged_value
from .pictures import Wrong

PICTURE = np.random.default_rng(1).integers(0, 256, (20, 24, 3), np.uint8)
GREY = PICTURE[:, :, 0]
RANGE = {"least": 0.002, "most": 0.2, "default": 0.02, "unit": "a share", "scale": "log"}
CARDS = [
    Card(network="pnen", task={"filter": "l0", "strength": 0.02, "kappa": 2.0}, target="ort", tile=32, tile_step=20,
         config={"channels": 8, "scales": [4], "stages": 2}, training={"steps": 3, "scores": {"rows": {}}},
         licence="CC0", trained_on="nothing", weights_sha256="0" * 64, max_logit=3.5, parity={"max_abs": 0.0}),
    Card(network="memnet", task={"noise": 25}, channels=1, tile="whole", tile_step=40),
    Card(network="memnet", task={"scale": 2}, channels=1, tile=32, tile_step=20, config={"channels": 8}),
    Card(network="pnen", task={"filter": "l0", "strength": 0.02}, strength=RANGE, tile=16, tile_step=12),
]  # fmt: skip
TILES = [[1, 16, 16], [8, 32, 32], [8, 32, 32]]
ENGINE = {
    "flavour": "tensorrt", "version": "10.9.0.34", "gpu": {"name": "NVIDIA L4", "compute_capability": "8.9"},
    "profiles": [TILES, [[1, 16, 16], [1, 90, 99], [1, 90, 99]]], "key_limit": 65504, "compute_capabilities": None,
    "options": {"hardware": "this", "version_compatible": False}, "build": "0123456789abcdef" * 2,
}  # fmt: skip
BUILT = {"activation_bytes": [1000, 2000], "attention_fused": [True, None], "seconds": 1.5,
         "half_share": {"graph": 0.9, "layers": None}}  # fmt: skip
GPUS = Gpu("NVIDIA L4", "8.9"), Gpu("NVIDIA H200", "9.0")


def graph_of(card: Card) -> bytes:
    """A small network as ONNX that fits the card, without it: a convolution that gives the picture back."""
    channels, inputs = card.channels, ["image"]
    weight = np.zeros((channels, channels, 3, 3), np.float32)
    weight[range(channels), range(channels), 1, 1] = 1
    nodes = [helper.make_node("Conv", ["image", "weight"], ["conv"], pads=[1, 1, 1, 1])]
    if card.strength:
        nodes.append(helper.make_node("Mul", ["conv", "strength"], ["smooth"]))
        inputs.append("strength")
    else:
        nodes.append(helper.make_node("Identity", ["conv"], ["smooth"]))

    def end(name: str) -> Any:
        shape = ["B", 1 if name == "strength" else channels, "H", "W"]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(nodes, "small", [*map(end, inputs)], [end("smooth")], [numpy_helper.from_array(
        weight, "weight")])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def with_card(graph: bytes, card: bytes) -> bytes:
    """The ONNX file of a graph and the text of its card."""
    entry = b"\x0a" + bytes([len(KEY)]) + KEY.encode() + b"\x12" + _varint(len(card)) + card
    return graph + b"\x72" + _varint(len(entry)) + entry


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def use(path: Path) -> np.ndarray | None:
    """Do with a model file what the command does; what it makes of a picture, but for enlarged and adjusted ones."""
    card = read_onnx_card(path)
    with Smoother(path, threads=1, backend="onnxruntime-cpu") as smoother:
        str(smoother.info), describe_task(card), read_onnx(path)
        picture = GREY if smoother.card.channels == 1 else PICTURE
        if "scale" in smoother.card.task:
            Upscaler(smoother).run(picture)
            return None
        result = smoother.run(picture)
        if smoother.card.strength:
            smoother.run(picture, strength=smoother.card.strength["most"])
            return None
        return np.asarray(result)


def onnx_files(folder: Path) -> Callable[[Draw], None]:
    """Files as pnen-export writes them, with the digest of their graph in the card, damaged anywhere."""
    files = [(BUNDLED / "wmf-fast.onnx").read_bytes()]
    for card in CARDS:
        graph = graph_of(card)
        files.append(with_card(graph, replace(card, graph_sha256=graph_sha256(graph)).to_json().encode()))
    path, right = folder / "model.onnx", []
    for data in files:
        path.write_bytes(data)
        right.append(use(path))

    def trial(draw: Draw) -> None:
        number = draw.randrange(len(files))
        path.write_bytes(damaged_bytes(files[number], draw))
        result = use(path)
        if result is not None and right[number] is not None and not np.array_equal(result, right[number]):
            raise Wrong("a damaged file was taken and gives another picture")

    return trial


def graphs(folder: Path) -> Callable[[Draw], None]:
    """Graphs that were damaged and whose card names no digest, so that ONNX Runtime gets to see them."""
    files, path = [(graph_of(card), card.to_json().encode()) for card in CARDS], folder / "model.onnx"

    def trial(draw: Draw) -> None:
        graph, card = draw.choice(files)
        path.write_bytes(with_card(damaged_bytes(graph, draw), card))
        use(path)

    return trial


def cards(folder: Path) -> Callable[[Draw], None]:
    """Sound ONNX files whose card has odd fields."""
    files, path = [(graph_of(card), asdict(card)) for card in CARDS], folder / "model.onnx"

    def trial(draw: Draw) -> None:
        graph, card = draw.choice(files)
        path.write_bytes(with_card(graph, as_json(damaged_value(card, draw), draw)))
        use(path)

    return trial


def engines(folder: Path) -> Callable[[Draw], None]:
    """Engines and sidecars: all that is read of them before a GPU is asked for."""
    path = folder / "model.fp16.engine"

    def trial(draw: Draw) -> None:
        card = asdict(replace(draw.choice(CARDS), precision="fp16", target="onnx", engine=ENGINE))
        of_both, of_one = draw.random() < 0.3, draw.random() < 0.5
        inside = damaged_value(card, draw) if of_both or of_one else card
        plan = b"ptrt" + bytes(100) + json.dumps(inside, separators=(",", ":")).encode() + b"\0{" + bytes(200)
        built = BUILT | {"plan_bytes": len(plan), "plan_sha256": sha256(plan).hexdigest()}
        beside = card | {"engine": ENGINE | {"built": built}}
        path.write_bytes(damaged_bytes(plan, draw) if draw.random() < 0.3 else plan)
        sidecar(path).write_bytes(as_json(damaged_value(beside, draw) if of_both or not of_one else beside, draw))
        if draw.random() < 0.05 and not draw.whole:
            sidecar(path).unlink()
        _use_engine(path)

    return trial


def _use_engine(path: Path) -> None:
    file = read_engine(path)
    rebuild_advice(path, file.card), describe_task(file.card), str(file.flavour)
    for gpu in GPUS:
        misfit(file.card, "10.9.0.34", gpu)
    for sides in ((20, 24), (1080, 1920)):
        plan_tiles(file.card, *sides, 512_000_000, profiles=file.card.engine.get("profiles") or ())
    with suppress(BackendMissing):  # no GPU
        open_backend(path, allow_host_code=True).close()
