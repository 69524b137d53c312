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
TITLES = {"tensorrt": "TensorRT", "rtx": "TensorRT-RTX"}


@dataclass(frozen=True)
class EngineFile:
    """A plan of TensorRT or TensorRT-RTX, whole in memory, and its card."""

    path: Path
    plan: bytes
    card: Card
    doubt: str = ""  # what speaks against it, should TensorRT not load it

    @property
    def flavour(self) -> str:
        """ "tensorrt" or "rtx"."""
        return str(self.card.engine.get("flavour", "tensorrt"))


def sidecar(engine: Path) -> Path:
    """The file of an engine's card: the one inside the plan, and what the build showed."""
    return engine.with_name(engine.name + ".json")


def read_engine(path: Path) -> EngineFile:
    """Read a plan and its card, from the sidecar if it belongs to this plan, else out of the plan.

    The two are replaced one after the other, and copied one without the other: a plan with a card inside counts, the
    sidecar of another plan does not. It is called truncated where it begins as the plan of the sidecar and is shorter,
    or has no card inside. Raises EngineError where the file is truncated, no plan, or without a card;
    OSError where it cannot be read.
    """
    plan = path.read_bytes()
    if plan[1:4] != MAGIC:
        raise EngineError(
            f"{path}: expected a TensorRT engine, got something else; {rebuild_advice(path, _card_beside(path))}"
        )
    beside = _card_beside(path)
    built = (beside.engine.get("built") if beside else None) or {}
    if beside is not None and built.get("plan_sha256") == sha256(plan).hexdigest():
        return EngineFile(path, plan, beside)
    inside, wanted = _card_inside(plan, path), built.get("plan_bytes", 0)
    begins_alike = prefix_digests(plan).items() <= (built.get("prefix_sha256") or {"": ""}).items()
    if inside is not None and not (len(plan) < wanted and begins_alike):
        doubt = f"; its sidecar is of another plan, of {wanted:,} bytes where this has {len(plan):,}" if wanted else ""
        return EngineFile(path, plan, inside, doubt)
    if len(plan) < wanted:
        raise EngineError(f"{path} is truncated: {len(plan):,} of {wanted:,} bytes; {rebuild_advice(path, beside)}")
    raise EngineError(f"{path} has no PNEN model card; only engines that pnen-export built can be run")


def prefix_digests(plan: bytes) -> dict[str, str]:
    """sha256 of the first 64, 128, 256, ... bytes: by these a torn plan is told from another plan that is smaller."""
    digest, found, done = sha256(), {}, 0
    for length in (64 << power for power in range(40) if 64 << power <= len(plan)):
        digest.update(memoryview(plan)[done:length])
        found[str(length)], done = digest.hexdigest(), length
    return found


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
    """One clause for an error message."""
    return f"build it again: {shlex.join(rebuild_command(engine, card))}"


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

    try:
        card: Card | None = read_engine(engine).card
    except (EngineError, OSError):  # torn: all that is left is its sidecar
        card = _card_beside(engine)
    words = rebuild_command(engine, card)
    done = run_module("pnen_export.cli", str(onnx.resolve()), *words[2:])
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise EngineError(f"{engine} cannot be built again by {shlex.join(words)}: {reason}")


def _numbers(version: str) -> tuple[int, ...]:
    """ "10.9.0.34" → (10, 9, 0, 34)."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
