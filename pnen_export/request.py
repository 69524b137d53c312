"""What `pnen-export` is asked for, held against what there is and what can be, before any work."""

from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from pnen_runtime.card import Card
from pnen_runtime.errors import UsageError

from .builder_api import check_targets
from .engine_command import asked_profiles, found_builder
from .profiles import read_profile

ENGINE_OPTIONS = ("shapes", "tiles", "key_limit", "hardware", "seconds", "version_compatible")


def check_request(model: str, fp16: bool, fp32: bool, target: str, engine: str) -> None:
    """UsageError where an option asks for what will not be done."""
    context, from_onnx = click.get_current_context(), model.endswith(".onnx")
    given = [name for name in ("target", *ENGINE_OPTIONS)
             if context.get_parameter_source(name) is not ParameterSource.DEFAULT]  # fmt: skip
    if from_onnx and engine == "none":
        raise UsageError(f"{model} is ONNX already, and --engine none leaves nothing to do")
    if from_onnx and "target" in given:
        raise UsageError(f"--target is for what a checkpoint becomes; {model} is ONNX already, so leave it out")
    if from_onnx and fp16 and fp32:
        raise UsageError(f"{model} is in one precision: ask for --fp16 or --fp32, not for both")
    no_engine = "--engine none" if engine == "none" else "--target ort" if target == "ort" else ""
    if target == "ort" and engine in ("tensorrt", "rtx"):
        raise UsageError(f"--engine {engine} needs the file of --target onnx, which --target ort does not write")
    for name in given:
        if no_engine and name in ENGINE_OPTIONS:
            option = "build-limit" if name == "seconds" else name.replace("_", "-")
            raise UsageError(f"--{option} is about an engine, and with {no_engine} none is built")


def engine_check(
    engine: str,
    *,
    shapes: tuple[str, ...],
    tiles: int | None,
    key_limit: int,
    hardware: str,
    version_compatible: bool,
    **_: Any,
) -> Callable[[Card], None]:
    """Look at all that is asked of an engine; what it gives looks at the sizes, once the network's card is known.

    Both raise UsageError for what cannot be; BackendMissing where an engine is asked for and cannot be built here.
    """
    if engine == "none":
        return lambda _: None
    for text in shapes:
        read_profile(text)
    trt = found_builder(engine)
    if trt is not None:
        check_targets(trt, hardware, version_compatible)

    def check(card: Card) -> None:
        asked_profiles(card, trt, shapes, tiles, key_limit or None)

    return check
