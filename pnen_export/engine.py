"""From an exported ONNX file to an engine of TensorRT or TensorRT-RTX."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

from pnen_runtime.card import Card
from pnen_runtime.cuda.driver import first_gpu
from pnen_runtime.engine_file import EngineFile, sidecar
from pnen_runtime.errors import EngineError, ParityError, UsageError
from pnen_runtime.files import replace_when_done, write_text

from . import builder_api, engine_cache
from .fusion import attention_fused
from .memory import least_bytes
from .onnx_file import OnnxFile, read_onnx
from .precision import inspected_share, require_precision, typed_share
from .profiles import KEY_LIMIT, Profile, check_profiles, overflow_risk, tile_profile

Precision = Literal["fp32", "fp16"]
Watch = Callable[[str, int, int], None]  # what is being built, steps done, steps in all
Prove = Callable[[EngineFile], dict[str, Any] | str]  # the engine's parity, or why it cannot be run here
Build = Callable[..., tuple[bytes, Card]]  # as `build_here`: the plan, and the card with what the build showed
log = logging.getLogger("pnen")
NAME_LIMIT = 4095  # bytes of a network's name


def build_engine(
    trt: Any,
    onnx_path: Path,
    engine_path: Path,
    *,
    profiles: Sequence[Profile] = (),
    precision: Precision | None = None,
    hardware: str = "this",
    version_compatible: bool = False,
    key_limit: int | None = KEY_LIMIT,
    cache: Path | None = None,
    prove: Prove | None = None,
    build: Build | None = None,
    watch: Watch = lambda *_: None,
) -> Card:
    """Build the typed graph as it is, and write a plain plan and its card beside it, in the place of what was there.

    Parameters
    ----------
    trt : the module `tensorrt` (8.6, 10 or 11, on the machine with the GPU) or `tensorrt_rtx` (on any machine)
    profiles : sizes it takes; by default tiles as the card recommends
    precision : "fp16" or "fp32" if the engine must be that; by default what the card of the ONNX file says
    hardware : "this" GPU, "same-capability" or "ampere+"; TensorRT-RTX builds for every GPU it knows
    version_compatible : whether later versions of TensorRT may load it
    key_limit : keys from which on half-precision attention is refused; None to try it, with a warning in the log
    cache : folder of engines built before, each proven; None to build in any case
    prove : compares the engine with what is right, where it can be run
    build : how: by default `build_here`, in this process; `build_process.build_apart` does it in another one

    Raises
    ------
    UsageError
        A profile is wrong or too large for half precision or this version, or the version lacks an option.
    ParityError
        The graph or the engine is not in the precision asked for, or the engine computes something else.
    EngineError
        The ONNX file cannot be read, or TensorRT refuses it; its whole log is in `engine_path`.log then.
    """
    engine_path.parent.mkdir(parents=True, exist_ok=True)
    file = read_onnx(onnx_path)
    if file.card.target != "onnx":
        raise UsageError(f"{onnx_path} is for ONNX Runtime only; build from the file without .ort in its name")
    precision = precision or file.card.precision
    require_precision(precision, file.half_share, f"the weights of {onnx_path} are")
    card = replace(file.card, precision=precision)
    limits = builder_api.element_limit(trt), builder_api.usual_limit(trt)
    profiles = list(profiles) or [tile_profile(card, element_limit=limits[0] or limits[1])]
    check_profiles(card, profiles, key_limit, *limits)
    for risk in filter(None, (overflow_risk(card, profile) for profile in profiles)):
        log.warning("%s: %s", engine_path.name, risk)
    gpu = None if builder_api.flavour(trt) == "rtx" else first_gpu()
    engine = {
        "flavour": builder_api.flavour(trt),
        "version": trt.__version__,
        "gpu": asdict(gpu) if gpu else None,
        "profiles": [[list(shape) for shape in profile] for profile in profiles],
        "options": {"hardware": hardware, "version_compatible": version_compatible},
        "key_limit": key_limit,
    }
    key, begin = engine_cache.engine_key(file, engine), time.perf_counter()
    # TensorRT-RTX makes the same plan of the same input; TensorRT goes by what it measures.
    card = replace(card, engine=engine | {"build": token_hex(16) if gpu else key})
    found = engine_cache.find_engine(cache, key) if cache else None
    if found is None:
        with _log_kept_on_failure(trt, engine_path) as told:
            plan, card = (build or build_here)(
                trt, told, file, card, profiles, cache, lambda *steps: watch(engine_path.name, *steps)
            )
            card = _proven(EngineFile(engine_path, plan, card), prove)
            found = plan, card
        if cache:
            engine_cache.keep_engine(cache, key, *found)
    else:
        plan, card = found
        took = {"seconds": round(time.perf_counter() - begin, 2), "cached": True}
        found = plan, replace(card, engine=card.engine | {"built": card.engine["built"] | took})
    plan, card = found
    with replace_when_done(sidecar(engine_path)) as note, replace_when_done(engine_path) as temporary:
        note.write_text(card.to_json(), encoding="utf-8")
        temporary.write_bytes(plan)
    return card


def _proven(file: EngineFile, prove: Prove | None) -> Card:
    """The engine's card with its own parity, or with the reason why it has none."""
    proof = prove(file) if prove else "not asked for"
    parity = {"not_run": proof} if isinstance(proof, str) else proof
    return replace(file.card, parity=parity | {"onnx": file.card.parity})


def build_here(trt: Any, *parts: Any) -> tuple[bytes, Card]:
    """The plan of a file, and its card with what the build showed."""
    try:
        return _build(trt, *parts)
    except BaseException as error:
        # Else they keep the builder, and freeing it while another one builds may never end.
        traceback.clear_frames(error.__traceback__)
        raise


def _build(
    trt: Any,
    log: Any,
    file: OnnxFile,
    card: Card,
    profiles: Sequence[Profile],
    cache: Path | None,
    watch: Callable[[int, int], None],
) -> tuple[bytes, Card]:
    """The plan, and its card with what the build showed."""
    begin = time.perf_counter()
    watch(0, builder_api.STEPS)
    builder, network = builder_api.open_builder(trt, log)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(file.data):
        raise EngineError(f"{file.path}: TensorRT cannot read the graph: {parser.get_error(0).desc()}")
    typed = typed_share(trt, network)
    require_precision(card.precision, typed, f"the layers of {file.path} are")

    config = builder.create_builder_config()
    builder_api.set_precision(trt, config, card.precision)
    builder_api.set_previews(trt, config)
    capabilities = builder_api.set_targets(trt, config, card.precision, **card.engine["options"])
    for sizes in profiles:
        profile = builder.create_optimization_profile()
        for name, channels in (("image", card.channels), ("strength", 1))[: 1 + bool(card.strength)]:
            profile.set_shape(name, *((batch, channels, height, width) for batch, height, width in sizes))
        if config.add_optimization_profile(profile) < 0:
            raise EngineError(f"{file.path}: TensorRT refuses the profile {sizes}")
    card = replace(card, engine=card.engine | {"compute_capabilities": capabilities})
    network.name = name = card_for_name(card)
    if network.name != name:
        raise EngineError(f"{file.path}: TensorRT cannot hold the model card: {builder_api.last_error(log.lines)}")
    if cache:
        timings = engine_cache.timing_file(cache, card.engine)
        builder_api.load_timings(trt, config, timings)
    monitor = builder_api.make_monitor(trt, watch)
    if monitor is not None:
        config.progress_monitor = monitor

    serialized = builder.build_serialized_network(network, config)
    if monitor is not None and monitor.failure is not None:
        raise monitor.failure
    if serialized is None:
        raise EngineError(f"{file.path}: TensorRT cannot build it: {builder_api.last_error(log.lines)}")
    watch(builder_api.STEPS, builder_api.STEPS)
    if cache:
        builder_api.save_timings(trt, config, timings)
    plan = bytes(serialized)
    engine = builder_api.load_plan(trt, log, plan)
    inspected = inspected_share(trt, engine)
    if typed is None:  # else the types decide, and the inspector may show a single layer more
        require_precision(card.precision, inspected, f"the layers of the engine of {file.path} are")
        if inspected is None and card.precision == "fp16":
            raise ParityError(f"{file.path}: TensorRT does not show whether the engine is in FP16; none was written")
    memory = builder_api.activation_bytes(engine, log.lines, len(profiles))
    built = {
        "seconds": round(time.perf_counter() - begin, 2),
        "half_share": {"weights": file.half_share, "graph": typed, "engine": inspected},
        "activation_bytes": memory,
        "least_bytes": least_bytes(card, profiles, memory, file.widest),
        "plan_bytes": len(plan),
        "plan_sha256": sha256(plan).hexdigest(),
        "attention_fused": [attention_fused(card, *pair) for pair in zip(profiles, memory, strict=False)],
    }
    return plan, replace(card, engine=card.engine | {"built": built})


def card_for_name(card: Card) -> str:
    """The card as JSON, without the rows of its parity table and as much of the training record as a name can hold."""
    if isinstance(card.parity, dict):
        card = replace(card, parity={name: value for name, value in card.parity.items() if name != "rows"})
    while len(text := card.to_json().encode()) > NAME_LIMIT and card.training:
        longest = max(card.training, key=lambda name: len(str(card.training[name])))
        card = replace(card, training={name: value for name, value in card.training.items() if name != longest})
    if len(text) > NAME_LIMIT:
        raise EngineError(f"the model card has {len(text)} bytes, {NAME_LIMIT} fit in an engine; state fewer profiles")
    return text.decode()


@contextmanager
def _log_kept_on_failure(trt: Any, engine_path: Path) -> Iterator[Any]:
    """A log for one build; where that fails it is written beside the engine, and the error says where."""
    log = builder_api.make_log(trt)
    try:
        yield log
    except (EngineError, ParityError) as error:
        if log.lines:
            path = engine_path.with_name(engine_path.name + ".log")
            write_text(path, "".join(f"{severity}: {message}\n" for severity, message in log.lines))
            error.args = (f"{error}; TensorRT's log is in {path}",)
        raise
