"""What the command says and does about engines; it needs neither torch nor onnx."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pnen_runtime.cache import cache_folder
from pnen_runtime.card import Card
from pnen_runtime.errors import BackendMissing

from .build_process import build_apart
from .builder_api import element_limit, find_tensorrt
from .engine import Watch, build_engine
from .engine_proof import prover
from .onnx_file import read_onnx
from .parity import Reference
from .profiles import read_profile, tile_profile

BUILD_SECONDS = 3600.0  # after which a build is taken for one that hangs


def make_engine(
    onnx_path: Path,
    wanted: str = "auto",
    *,
    shapes: Sequence[str] = (),
    tiles: int | None = None,
    folder: Path | None = None,
    use_cache: bool = True,
    reference: Reference | None = None,
    seconds: float = BUILD_SECONDS,
    watch: Watch = lambda *_: None,
    **options: Any,
) -> tuple[Path, Card] | str:
    """Build the engine of an exported file; where "auto" finds no TensorRT, give one line that says how to go on.

    It is built in a process of its own, which is ended after `seconds`. It takes 1 to `tiles` tiles of the recommended
    size (by default as `tile_profile`), and the profiles in `shapes`; `options` are `build_engine`'s.
    Where the engine can be run it is compared with `reference`, or else with ONNX Runtime on the same file.
    Raises BackendMissing where `wanted` is "tensorrt" or "rtx" and cannot build here.
    """
    try:
        trt = find_tensorrt(wanted)
    except BackendMissing:
        if wanted != "auto":
            raise
        return (
            f"no engine, since TensorRT and a GPU are not here: run pnen-export {onnx_path.name} --engine tensorrt on "
            'the machine that has them, or pip install "pnen[rtx]" to build one for TensorRT-RTX here'
        )
    card = read_onnx(onnx_path).card
    card = replace(card, precision=options.get("precision") or card.precision)
    profiles = [tile_profile(card, tiles, element_limit(trt)), *map(read_profile, shapes)]
    path = (folder or onnx_path.parent) / f"{onnx_path.stem}.engine"
    cache = cache_folder("engines") if use_cache else None
    prove = prover(onnx_path, reference, watch)
    return path, build_engine(trt, onnx_path, path, profiles=profiles, cache=cache, prove=prove,
                              build=partial(build_apart, seconds=seconds), watch=watch, **options)  # fmt: skip


def engine_report(card: Card) -> list[str]:
    """What was built, line by line."""
    engine = card.engine
    built, name = engine["built"], {"tensorrt": "TensorRT", "rtx": "TensorRT-RTX"}[engine["flavour"]]
    gpu = engine["gpu"]["name"] if engine["gpu"] else " ".join(engine["compute_capabilities"])
    typed = built["half_share"]["graph"] is not None
    proof = "by the types of the graph" if typed else "by the engine's layers"
    seconds = f"{built['seconds']:.1f} s " + ("out of the cache" if built.get("cached") else "to build")
    lines = [f"{name} {engine['version']} for {gpu}: {card.precision.upper()} {proof}, {seconds}"]
    memory = built["activation_bytes"] + [None] * len(engine["profiles"])
    fused = built["attention_fused"] + [None] * len(engine["profiles"])
    for sizes, reserved, streamed in zip(engine["profiles"], memory, fused, strict=False):
        low, _, high = ("x".join(map(str, size)) for size in sizes)
        takes = f", {reserved / 1e6:.0f} MB" if reserved is not None else ""
        scores = {True: ", attention fused", False: ", attention NOT fused: it keeps every score in memory", None: ""}
        lines.append(f"  {low} to {high}{takes}{scores[streamed]}")
    if "not_run" in card.parity:
        return [*lines, f"not compared with PyTorch: {card.parity['not_run']}"]
    found = card.parity
    return [*lines, f"against {found['against']}: max {found['max_abs']:.2g}, {found['psnr']:.1f} dB, "
            f"{found['within_one_level']:.2%} of 8-bit values within one level"]  # fmt: skip
