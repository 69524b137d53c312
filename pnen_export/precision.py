"""Proof that an engine computes in the precision that was asked for: TensorRT falls back to FP32 without a word."""

from __future__ import annotations

import json
import re
from typing import Any

from pnen_runtime.errors import ParityError

HALF_ENOUGH = 0.5  # share from which on something counts as half precision; mixed files keep a few layers in FP32
HALF = re.compile(r"\b(half|fp16|float16)\b", re.IGNORECASE)
SINGLE = re.compile(r"\b(float|fp32|float32)\b", re.IGNORECASE)


def require_precision(wanted: str, share: float | None, what: str) -> None:
    """ParityError unless the share of half precision fits; None is a share that could not be measured."""
    if share is None or (wanted == "fp16") == (share >= HALF_ENOUGH):
        return
    found, flag = ("FP32", "--fp16") if wanted == "fp16" else ("FP16", "--fp32")
    raise ParityError(
        f"{what} in {found} ({share:.0%} in half precision), {wanted.upper()} was asked for; no engine was written. "
        f"Precision is part of the ONNX file: export the checkpoint with {flag} and build from that"
    )


def typed_share(trt: Any, network: Any) -> float | None:
    """Share of convolutions and matrix products that take half; None where types bind nobody (before TensorRT 10)."""
    if not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        return None
    kinds = (trt.LayerType.CONVOLUTION, trt.LayerType.MATRIX_MULTIPLY)
    layers = [layer for layer in (network.get_layer(i) for i in range(network.num_layers)) if layer.type in kinds]
    return sum(layer.get_input(0).dtype == trt.float16 for layer in layers) / len(layers) if layers else None


def inspected_share(trt: Any, engine: Any) -> float | None:
    """Share of the engine's layers that give half, by its inspector; None where there is no engine."""
    if engine is None:
        return None
    return half_share(engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON))


def half_share(information: str) -> float | None:
    """Share of the floating-point layers that give half in the inspector's JSON; None where it has names only."""
    half = single = 0
    for layer in json.loads(information).get("Layers", ()):
        types = " ".join(
            str(value)
            for output in (layer.get("Outputs", ()) if isinstance(layer, dict) else ())
            for key, value in output.items()
            if "datatype" in key.lower()
        )
        if HALF.search(types):
            half += 1
        elif SINGLE.search(types):
            single += 1
    return half / (half + single) if half + single else None
