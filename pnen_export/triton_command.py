"""pnen-export --for triton [MODEL...] FOLDER"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from pnen_runtime.card import Card
from pnen_runtime.commands import Command, say
from pnen_runtime.engine_file import SUFFIXES, read_engine
from pnen_runtime.errors import BackendMissing, UsageError
from pnen_runtime.models import bundled_models, find_model
from pnen_runtime.onnx_card import read_onnx_card

from .builder_api import find_tensorrt
from .onnx_file import read_onnx
from .profiles import Profile, Shape, tile_profile
from .triton_config import STRENGTHS, Variant, config


@dataclass(frozen=True)
class Parts:
    """The files that one model's variants are made of."""

    name: str
    runs: Path | None  # ONNX for ONNX Runtime
    plain: Path | None  # ONNX of standard operators, which TensorRT reads
    plan: Path | None  # an engine of TensorRT


@click.command(cls=Command)
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--variants", type=click.Choice(["all", "onnxruntime", "tensorrt"]), default="all", show_default=True)
@click.option("--fp16", is_flag=True, help="Half precision for TensorRT.")
@click.option("--instances", metavar="COUNT", type=click.IntRange(1, 64), default=1, show_default=True,
              help="Copies of each model that work at once, on each GPU or on the CPU.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Write models anew that are in FOLDER already.")
def triton(models: tuple[str, ...], folder: Path, variants: str, fp16: bool, instances: int, overwrite: bool) -> None:
    """Write a model repository into FOLDER for a Triton server: tritonserver --model-repository FOLDER.

    MODEL is a checkpoint, an ONNX file or an engine that pnen-export wrote, or the name of a bundled model, by default
    all of these. Each becomes MODEL, which runs on ONNX Runtime wherever the server is, and MODEL_tensorrt, which needs
    a GPU there: the engine where one lies beside the ONNX file or can be built here, else ONNX Runtime with TensorRT in
    it, which builds one when it is loaded. Use them by Smoother("triton+grpc://HOST:8001/MODEL").
    """
    wanted: list[Variant] = ["onnxruntime", "tensorrt"] if variants == "all" else [variants]  # type: ignore[list-item]
    if str(folder) in bundled_models() and not folder.is_dir():
        raise UsageError(f"expected the folder to write into as the last word, got the model {folder}; to write into a "
                         f"folder of that name make it first")  # fmt: skip
    with tempfile.TemporaryDirectory() as work:
        for model in models or bundled_models():
            parts = found_parts(model, "tensorrt" in wanted, fp16, Path(work))
            folder.mkdir(parents=True, exist_ok=True)
            for variant in wanted:
                written = write_model(folder, parts, variant, instances, overwrite)
                if written:
                    say(written)


def found_parts(model: str, for_tensorrt: bool, fp16: bool, work: Path) -> Parts:
    """What there is of a model, or is made of it: with `for_tensorrt` also what TensorRT runs or reads."""
    if model in bundled_models() and not Path(model).is_file():
        path = find_model(model)
        return Parts(model, path, _exported(model, fp16, work, "onnx") if for_tensorrt else None, None)
    path = Path(model)
    if not path.is_file():
        raise UsageError(f"no model {model!r}: there is no such file, and the bundled models are: "
                         f"{', '.join(bundled_models())}")  # fmt: skip
    name = path.name.partition(".")[0]
    if path.suffix == ".pt":
        plain = _exported(model, fp16, work, "onnx") if for_tensorrt else None
        return Parts(name, _exported(model, False, work, "ort"), plain, None)
    if path.suffix in SUFFIXES:
        beside = path.with_suffix(".onnx")
        return Parts(name, beside if beside.is_file() else None, None, _triton_s(path))
    if path.suffix != ".onnx":
        raise UsageError(
            f"{model}: expected a checkpoint, or an ONNX file or engine of pnen-export, got {path.suffix!r}"
        )
    if read_onnx(path).card.target == "ort":
        sibling = path.with_name(path.name.replace(".ort", "", 1))
        return Parts(name, path, sibling if sibling != path and sibling.is_file() else None, None)
    engine = path.with_suffix(".engine")
    return Parts(name, path, path, _triton_s(engine) if engine.is_file() else None)


def _triton_s(engine: Path) -> Path:
    """UsageError for an engine of TensorRT-RTX, whose plans Triton does not take."""
    if read_engine(engine).flavour != "tensorrt":
        raise UsageError(f"{engine} is for TensorRT-RTX, and Triton takes plans of TensorRT alone; build one by "
                         "pnen-export MODEL.onnx --engine tensorrt, or move it away")  # fmt: skip
    return engine


def _exported(model: str, fp16: bool, work: Path, target: str) -> Path:
    from .cli import export_checkpoint

    files, failure = export_checkpoint(
        model, fp16, not fp16, target, work / Path(model).stem, lambda _: None, quiet=True
    )
    if failure is not None:
        raise failure
    return files[-1].path


def write_model(folder: Path, parts: Parts, variant: Variant, instances: int, overwrite: bool) -> str:
    """Write one variant, whole or not at all, and say so; where there is nothing to make it of, say that."""
    name = parts.name if variant == "onnxruntime" else f"{parts.name}_tensorrt"
    source, why = (parts.runs, "") if variant == "onnxruntime" else _for_tensorrt(parts)
    if source is None:
        needed = "an ONNX file beside the engine" if variant == "onnxruntime" else "an ONNX file of --target onnx"
        return f"not written: {folder / name}, which needs {needed}"
    plan = source.suffix in SUFFIXES
    card = read_engine(source).card if plan else read_onnx_card(source)
    profile = _largest(card) if plan else tile_profile(card)
    if (folder / name).exists() and not overwrite:
        raise UsageError(f"{folder / name} is there already; --overwrite writes it anew")
    made = Path(tempfile.mkdtemp(dir=folder, prefix=f".{name}."))
    try:
        (made / "1").mkdir()
        shutil.copyfile(source, made / "1" / ("model.plan" if plan else "model.onnx"))
        if card.strength:
            (made / "warmup").mkdir()
            tile = np.full(profile.usual[1:], card.strength["default"], np.float32)
            (made / "warmup" / STRENGTHS).write_bytes(tile.tobytes())
        text = config(name, card, variant, plan=plan, profile=profile, instances=instances)
        (made / "config.pbtxt").write_text(text, encoding="utf-8")
        made.chmod(0o755)
        if (folder / name).exists():
            shutil.rmtree(folder / name)
        os.replace(made, folder / name)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return f"written: {folder / name}, {card.precision}{why}"


def _for_tensorrt(parts: Parts) -> tuple[Path | None, str]:
    """The plan, where there is or can be one, else what TensorRT inside ONNX Runtime builds one of."""
    if parts.plan is not None:
        return parts.plan, f": the engine {parts.plan.name}"
    if parts.plain is None:
        return None, ""
    try:
        find_tensorrt("tensorrt")
    except BackendMissing:
        return parts.plain, ": TensorRT in ONNX Runtime, which builds when it is loaded"
    from .engine_command import make_engine

    made = make_engine(parts.plain, "tensorrt", folder=parts.plain.parent)
    return (parts.plain, f": {made}") if isinstance(made, str) else (made[0], ": an engine, built for the GPU here")


def _largest(card: Card) -> Profile:
    """Of an engine's profiles the one with the most pixels."""
    profiles = [Profile(*(Shape(*size) for size in sizes)) for sizes in card.engine["profiles"]]
    return max(profiles, key=lambda profile: profile.largest.height * profile.largest.width)
