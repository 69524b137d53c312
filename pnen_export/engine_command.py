"""What the command says and does about engines; it needs neither torch nor onnx."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import join
from typing import Any

from pnen_runtime.cache import cache_folder
from pnen_runtime.card import Card
from pnen_runtime.engine_file import last_card, rebuild_command
from pnen_runtime.errors import BackendMissing, UsageError
from pnen_runtime.install import pip_install

from .build_process import build_apart
from .builder_api import element_limit, find_tensorrt, usual_limit
from .engine import Watch, build_engine
from .engine_proof import prover
from .fusion import no_verdict
from .onnx_file import read_onnx
from .parity import Reference
from .profiles import KEY_LIMIT, Profile, Shape, check_profiles, read_profile, tile_profile

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
    trt = found_builder(wanted)
    if trt is None:
        return (
            f"no engine, since TensorRT and a GPU are not here: run pnen-export {onnx_path.name} --engine tensorrt on "
            f"the machine that has them, or {pip_install('rtx')} to build one for TensorRT-RTX here"
        )
    card = read_onnx(onnx_path).card
    card = replace(card, precision=options.get("precision") or card.precision)
    profiles = asked_profiles(card, trt, shapes, tiles, options.get("key_limit", KEY_LIMIT))
    path = engine_path(onnx_path, folder)
    cache = cache_folder("engines") if use_cache else None
    prove = prover(onnx_path, reference, watch)
    return path, build_engine(trt, onnx_path, path, profiles=profiles, cache=cache, prove=prove,
                              build=partial(build_apart, seconds=seconds), watch=watch, **options)  # fmt: skip


def asked_profiles(
    card: Card, trt: Any, shapes: Sequence[str], tiles: int | None, key_limit: int | None = KEY_LIMIT
) -> list[Profile]:
    """The profiles of an engine for a model of this card; UsageError, which names the option, where one cannot be.

    Without a builder (None) what its version takes is not asked.
    """
    limits = (element_limit(trt), usual_limit(trt)) if trt is not None else (None, None)
    profiles = [tile_profile(card, tiles, limits[0] or limits[1]), *map(read_profile, shapes)]
    flags = [f"--tiles {tiles}" if tiles else "", *(f"--shapes {text}" for text in shapes)]
    for flag, profile in zip(flags, profiles, strict=True):
        try:
            check_profiles(card, [profile], key_limit, *limits)
        except UsageError as error:
            raise UsageError(f"{flag}: {error}" if flag else str(error)) from None
    return profiles


def found_builder(wanted: str) -> Any:
    """As `find_tensorrt`; None where "auto" finds none."""
    try:
        return find_tensorrt(wanted)
    except BackendMissing:
        if wanted != "auto":
            raise
    return None


def engine_path(onnx_path: Path, folder: Path | None = None) -> Path:
    """Where `make_engine` writes the engine of an exported file."""
    return (folder or onnx_path.parent) / f"{onnx_path.stem}.engine"


def former_command(path: Path) -> str | None:
    """The command that built what is at `path` now, as far as its card tells; None where there is nothing."""
    if not path.exists():
        return None
    card = last_card(path)
    return join(rebuild_command(path, card)) if card else ""


def replacement(former: str | None, path: Path, card: Card) -> str:
    """What to say of the file whose place an engine took: how to have it again, where it had other options."""
    if former is None:
        return ""
    if not former:
        return ", in the place of a file without a model card"
    same = former == join(rebuild_command(path, card))
    return ", in the place of the former one" + ("" if same else f", which had other options: {former}")


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
    least = built.get("least_bytes", []) + [None] * len(engine["profiles"])
    for sizes, reserved, needed, streamed in zip(engine["profiles"], memory, least, fused, strict=False):
        profile = Profile(*(Shape(*size) for size in sizes))
        takes = f", {reserved / 1e6:.0f} MB" if reserved is not None else ""
        if needed is not None:
            told = f"TensorRT says {reserved / 1e6:.0f}, but may leave out large tensors"
            takes = f", at least {needed / 1e6:.0f} MB ({told})"
        lines.append(f"  {profile.smallest} to {profile.largest}{takes}{verdict(card, profile, reserved, streamed)}")
    if "not_run" in card.parity:
        return [*lines, f"not compared with PyTorch: {card.parity['not_run']}"]
    found = card.parity
    return [*lines, f"against {found['against']}: max {found['max_abs']:.2g}, {found['psnr']:.1f} dB, "
            f"{found['within_one_level']:.2%} of 8-bit values within one level"]  # fmt: skip


def verdict(card: Card, profile: Profile, reserved: int | None, fused: bool | None) -> str:
    """What the report says of the attention of one profile; nothing where the network has none."""
    if not card.config.get("scales"):
        return ""
    if fused is None:
        why = "TensorRT does not say what it reserves" if reserved is None else no_verdict(card, profile)
        return f", attention fused or not: no verdict ({why})"
    return ", attention fused" if fused else ", attention NOT fused: it keeps every score in memory"
