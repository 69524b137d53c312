"""An engine file: the card in it, whether it fits this machine, and how to build it again."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from .card import Card
from .errors import EngineError
from .schema import LONGEST

if TYPE_CHECKING:
    from .cuda.driver import Gpu

SUFFIXES = (".engine", ".plan", ".trt")
MAGIC = b"trt"  # the second to fourth byte of a plan
CARD = b'{"network":'  # how a card begins inside a plan
PLACES = 100  # that are looked at, of those that begin so
# How a plan of TensorRT-RTX 1.7 begins; its length follows, in 8 bytes. TensorRT's header holds a length too, but where
# is not documented: it compares that itself.
WITH_LENGTH = b"vtrt" + bytes(4) + (2).to_bytes(8, "little")
TITLES = {"tensorrt": "TensorRT", "rtx": "TensorRT-RTX"}


@dataclass(frozen=True)
class EngineFile:
    """A plan of TensorRT or TensorRT-RTX, whole in memory, and its card."""

    path: Path
    plan: bytes
    card: Card
    doubt: str = ""  # why damage to it would not be seen

    @property
    def flavour(self) -> str:
        """ "tensorrt" or "rtx"."""
        return str(self.card.engine.get("flavour", "tensorrt"))


def sidecar(engine: Path) -> Path:
    """The file of an engine's card: the one inside the plan, and what the build showed."""
    return engine.with_name(engine.name + ".json")


def read_engine(path: Path) -> EngineFile:
    """Read a plan and its card, from the sidecar if it belongs to this plan, else out of the plan.

    The two are replaced one after the other, and copied one without the other. A card names the build that it comes
    from: a sidecar of this build must fit byte for byte, one of another build says nothing, and the card inside counts.
    Then, and where there is no sidecar, only the length of a TensorRT-RTX plan can be checked, and `doubt` says so.
    Raises EngineError where the file is truncated, damaged, no plan or without a card; OSError where it cannot be read.
    """
    plan, beside = path.read_bytes(), _card_beside(path)
    if plan[1:4] != MAGIC:
        raise EngineError(f"{path}: expected a TensorRT engine, got something else; {rebuild_advice(path, beside)}")
    built = (beside.engine.get("built") if beside else None) or {}
    if beside is not None and built.get("plan_sha256") == sha256(plan).hexdigest():
        return EngineFile(path, plan, beside)
    inside = _card_inside(plan, path)
    own = beside is not None and (inside is None or _same_build(inside, beside))
    length = _length_said(plan) or (built.get("plan_bytes", 0) if own else 0)
    advice = rebuild_advice(path, beside if own else inside)
    if len(plan) < length:
        raise EngineError(f"{path} is truncated: {len(plan):,} of {length:,} bytes; {advice}")
    if inside is None:
        raise EngineError(f"{path} has no PNEN model card; only engines that pnen-export built can be run")
    if own:
        raise EngineError(f"{path} is damaged: it is not what was built, as the digest in its sidecar shows; {advice}")
    there = sidecar(path).is_file()
    doubt = "is of another engine" if built else "cannot be read" if there else "is missing"
    return EngineFile(path, plan, inside, f"its sidecar {sidecar(path).name} {doubt}")


def last_card(path: Path) -> Card | None:
    """The card of an engine, sound or not; None where neither the plan nor its sidecar has one."""
    try:
        return read_engine(path).card
    except (EngineError, OSError):  # torn: all that is left is its sidecar
        return _card_beside(path)


def _same_build(one: Card, other: Card) -> bool:
    """Whether both cards come from one build, as far as they say."""
    return bool(one.engine.get("build")) and one.engine.get("build") == other.engine.get("build")


def _length_said(plan: bytes) -> int:
    """Bytes that the plan has by its own header; 0 where that is not known."""
    return int.from_bytes(plan[16:24], "little") if plan.startswith(WITH_LENGTH) else 0


def _card_beside(path: Path) -> Card | None:
    """The card in the sidecar, of this plan or of one that was here before."""
    with suppress(OSError, UnicodeDecodeError, EngineError):
        if sidecar(path).stat().st_size > LONGEST:
            return None
        return Card.from_json(sidecar(path).read_text(encoding="utf-8"), str(sidecar(path)))
    return None


def _card_inside(plan: bytes, path: Path) -> Card | None:
    """The card in the network's name, which a plan holds as plain text."""
    begin = -1
    for _ in range(PLACES):
        begin = plan.find(CARD, begin + 1)
        if begin < 0:
            break
        with suppress(ValueError, RecursionError, EngineError):
            text = plan[begin : begin + 8192].decode("utf-8", "replace")
            _, end = json.JSONDecoder().raw_decode(text)
            return Card.from_json(text[:end], str(path))
    return None


def misfit(card: Card, version: str, gpu: Gpu) -> str | None:
    """Why an engine with this card cannot run under TensorRT `version` on `gpu`; None where nothing speaks against it.

    An engine runs on the version that built it, or on a later one if it is version-compatible; on the compute
    capability it was built for, or on what its options say.
    """
    engine, options = card.engine, card.engine.get("options") or {}
    title, built = TITLES.get(engine.get("flavour", ""), "TensorRT"), str(engine.get("version", ""))
    later = options.get("version_compatible") and _numbers(version) >= _numbers(built)
    if built != version and not later:
        return f"it was built with {title} {built}, this is {version}"
    capability, capabilities = gpu.compute_capability, engine.get("compute_capabilities")
    if capabilities:
        if "SM" + capability.replace(".", "") not in capabilities:
            return f"{title} builds for {', '.join(capabilities)}; this GPU, {gpu.name}, is SM{capability}"
    elif engine.get("gpu"):
        own = engine["gpu"]["compute_capability"]
        ampere = options.get("hardware") == "ampere+" and _numbers(capability) >= (8, 0) <= _numbers(own)
        if capability != own and not ampere:
            return f"it was built for {engine['gpu']['name']} ({own}), this is {gpu.name} ({capability})"
    return None


def rebuild_command(engine: Path, card: Card | None = None) -> list[str]:
    """The words of the command that builds this engine again, with the options of its card."""
    words = ["pnen-export", str(engine.with_suffix(".onnx"))]
    if card is None:
        return words
    built = card.engine
    words += ["--engine", str(built.get("flavour", "auto"))]
    profiles = built.get("profiles") or []
    if profiles and isinstance(card.tile, int):
        words += ["--tiles", str(profiles[0][2][0])]
    words += [word for sizes in profiles[1:] for word in ("--shapes", ",".join("x".join(map(str, s)) for s in sizes))]
    options = built.get("options") or {}
    if built.get("key_limit", 65504) != 65504:
        words += ["--key-limit", str(built["key_limit"] or 0)]
    if options.get("hardware", "this") != "this":
        words += ["--hardware", options["hardware"]]
    return words + ["--version-compatible"] * bool(options.get("version_compatible"))


def rebuild_advice(engine: Path, card: Card | None = None) -> str:
    """One clause for an error message: the command where the ONNX file is beside it, else what is needed for one."""
    command = rebuild_command(engine, card)
    if engine.with_suffix(".onnx").is_file():
        return f"build it again: {shlex.join(command)}"
    if card is None:
        return "take an engine that pnen-export built, or build one: pnen-export MODEL.onnx"
    name = engine.with_suffix(".onnx").name
    return f"build it again where its {name} is: {shlex.join([command[0], name, *command[2:]])}"


def rebuild(engine: Path) -> None:
    """Build the engine again in a process of its own, which needs no torch, with the options of its card or sidecar.

    The old file stays until the new one is proven. Raises EngineError where there is no ONNX file beside it, or where
    the build fails.
    """
    onnx = engine.with_suffix(".onnx")
    if not onnx.is_file():
        raise EngineError(
            f"{engine} cannot be built again: {onnx} is not there; export the checkpoint with pnen-export"
        )
    from .child import run_module  # here, since few programs start processes

    words = rebuild_command(engine, last_card(engine))
    done = run_module("pnen_export.cli", str(onnx.resolve()), *words[2:])
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise EngineError(f"{engine} cannot be built again by {shlex.join(words)}: {reason}")


def _numbers(version: str) -> tuple[int, ...]:
    """ "10.9.0.34" → (10, 9, 0, 34)."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
