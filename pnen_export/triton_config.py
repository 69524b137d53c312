"""A model's `config.pbtxt` for a Triton server, in the text form of protobuf."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from pnen_runtime.card import KEY, Card

from .profiles import Profile, Shape

Variant = Literal["onnxruntime", "tensorrt"]
STRENGTHS = "strengths"  # the file in the model's folder warmup, with a tile of the default strength
TRITON_DELAY = 500  # microseconds that a tile may wait for others, to share their batch


class Word(str):
    """A name that is written bare: an enum's value."""


def config(name: str, card: Card, variant: Variant, *, plan: bool = False, profile: Profile, instances: int = 1) -> str:
    """The configuration of one model.

    Parameters
    ----------
    name : of the model, which is its folder's
    card : goes with the model as a parameter, where `Smoother("triton+grpc://...")` finds it
    variant : "onnxruntime" runs on what there is; "tensorrt" on a GPU, a `plan` or ONNX Runtime with TensorRT in it
    profile : for "tensorrt" the sizes that it takes; a warm-up request has its usual one
    instances : copies of the model that work at the same time, on each GPU or on the CPU
    """
    onnx = not plan
    if onnx and variant == "tensorrt":
        card = replace(card, engine={"flavour": "tensorrt", "profiles": [[list(size) for size in profile]]})
    ends = {"image": card.channels} | ({"strength": 1} if card.strength else {})
    fields: dict[str, Any] = {
        "name": name,
        "backend": "onnxruntime" if onnx else "tensorrt",
        "max_batch_size": profile.largest.batch,
        "input": [_end(end, channels) for end, channels in ends.items()],
        "output": [_end("smooth", card.channels)],
        "dynamic_batching": {"max_queue_delay_microseconds": TRITON_DELAY} if variant == "tensorrt" else {},
        "instance_group": [{"count": instances, "kind": Word("KIND_GPU" if variant == "tensorrt" else "KIND_AUTO")}],
        "model_warmup": [_warm_up(ends, profile.usual)],
        "parameters": [{"key": KEY, "value": {"string_value": card.to_json()}}],
    }
    if onnx and variant == "tensorrt":
        fields["optimization"] = {
            "execution_accelerators": {"gpu_execution_accelerator": _accelerator(card, ends, profile)}
        }
    return "\n".join(_lines(fields)) + "\n"


def _end(name: str, channels: int) -> dict[str, Any]:
    """Height and width are any; the batch is not said."""
    return {"name": name, "data_type": Word("TYPE_FP32"), "dims": [channels, -1, -1]}


def _warm_up(ends: Mapping[str, int], usual: Shape) -> dict[str, Any]:
    """One black tile of the usual size, at the default strength: zeros are no strength."""
    inputs = []
    for end, channels in ends.items():
        data = {"input_data_file": STRENGTHS} if end == "strength" else {"zero_data": True}
        value = {"data_type": Word("TYPE_FP32"), "dims": [channels, usual.height, usual.width]}
        inputs.append({"key": end, "value": value | data})
    return {"name": f"{usual.height}x{usual.width}", "batch_size": 1, "inputs": inputs}


def _accelerator(card: Card, ends: Mapping[str, int], profile: Profile) -> dict[str, Any]:
    """TensorRT inside ONNX Runtime, which builds its engine when the model is loaded."""
    found = {"precision_mode": card.precision.upper()}
    for part, shape in zip(("min", "opt", "max"), profile, strict=True):
        sizes = (f"{end}:{shape.batch}x{channels}x{shape.height}x{shape.width}" for end, channels in ends.items())
        found[f"trt_profile_{part}_shapes"] = ",".join(sizes)
    return {"name": "tensorrt", "parameters": [{"key": key, "value": value} for key, value in found.items()]}


def _lines(fields: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    indent = "  " * depth
    for key, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                yield f"{indent}{key} {{"
                yield from _lines(one, depth + 1)
                yield f"{indent}}}"
            elif isinstance(one, str) and not isinstance(one, Word):
                yield f"{indent}{key}: {json.dumps(one, ensure_ascii=False)}"
            else:
                yield f"{indent}{key}: {str(one).lower() if isinstance(one, bool) else one}"
