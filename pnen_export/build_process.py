"""TensorRT's parser and builder in a process of their own: they may crash or hang on a file, and then end alone."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pnen_runtime import errors
from pnen_runtime.card import Card
from pnen_runtime.child import PACKAGES, SAFE_PATH
from pnen_runtime.errors import EngineError, PnenError

from . import builder_api, engine
from .onnx_file import OnnxFile, read_onnx
from .profiles import Profile, Shape

PLAN, CARD = "plan", "card.json"  # what the process leaves


def build_apart(
    trt: Any,
    log: Any,
    file: OnnxFile,
    card: Card,
    profiles: Sequence[Profile],
    cache: Path | None,
    watch: Callable[[int, int], None],
    *,
    seconds: float,
) -> tuple[bytes, Card]:
    """As `engine.build_here`, in a process that is ended after `seconds`.

    EngineError where it crashes, PnenError where it takes longer.
    """
    with tempfile.TemporaryDirectory(prefix="pnen-") as folder:
        order = {"module": trt.__name__, "onnx": str(file.path.resolve()), "card": json.loads(card.to_json()),
                 "profiles": profiles, "cache": str(cache.resolve()) if cache else None, "folder": folder}  # fmt: skip
        words = [sys.executable, *SAFE_PATH, "-m", __name__]
        process = subprocess.Popen(words, cwd=PACKAGES, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True, errors="replace")  # fmt: skip
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            failure = _follow(process, order, log, watch)
        finally:
            timer.cancel()
            process.kill()
            process.wait()
        if failure is not None:
            raise failure
        if late.is_set():
            raise PnenError(f"{file.path}: TensorRT was not done after {seconds:g} s and was ended; allow it more with "
                            "--build-limit MINUTES (a damaged file may make it hang)")  # fmt: skip
        if process.returncode or not (Path(folder) / CARD).is_file():
            raise EngineError(
                f"{file.path}: TensorRT crashed on it (exit code {process.returncode}); it may be damaged"
            )
        built = Card.from_json((Path(folder) / CARD).read_text(encoding="utf-8"), "the engine just built")
        return (Path(folder) / PLAN).read_bytes(), built


def _follow(
    process: subprocess.Popen[str], order: Any, log: Any, watch: Callable[[int, int], None]
) -> PnenError | None:
    """Give the order, and take in what the process says until it ends; the failure that it tells of."""
    assert process.stdin and process.stdout
    failure = None
    with suppress(BrokenPipeError), process.stdin as orders:  # it crashed before it read
        orders.write(json.dumps(order))
    for line in process.stdout:
        try:
            kind, *rest = json.loads(line)
        except (ValueError, TypeError):  # a library's own words
            continue
        if kind == "step":
            watch(*rest)
        elif kind == "log":
            log.lines.extend(tuple(entry) for entry in rest[0])
        elif kind == "failure":
            failure = getattr(errors, rest[0], EngineError)(rest[1])
    process.wait()
    return failure


def main() -> None:
    """What runs in the process."""
    order = json.load(sys.stdin)
    trt = importlib.import_module(order["module"])
    log, folder = builder_api.make_log(trt), Path(order["folder"])
    cache = Path(order["cache"]) if order["cache"] else None
    try:
        profiles = [Profile(*(Shape(*size) for size in sizes)) for sizes in order["profiles"]]
        card = Card.from_json(json.dumps(order["card"]), order["onnx"])
        plan, built = engine.build_here(
            trt, log, read_onnx(Path(order["onnx"])), card, profiles, cache, lambda *steps: tell("step", *steps)
        )
        (folder / PLAN).write_bytes(plan)
        (folder / CARD).write_text(built.to_json(), encoding="utf-8")
    except PnenError as error:
        tell("failure", type(error).__name__, str(error))
    except MemoryError:
        tell("failure", "PnenError", f"{order['onnx']}: not enough memory to build the engine")
    except OSError as error:  # a full disk, above all
        tell("failure", "PnenError", f"the engine cannot be built: {error}")
    except (RuntimeError, TypeError) as error:  # how TensorRT's module refuses what its library does
        tell("failure", "EngineError", f"{order['onnx']}: TensorRT refuses it: {' '.join(str(error).split())}")
    finally:
        tell("log", log.lines)


def tell(*words: Any) -> None:
    """One line to whoever started the process."""
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main()
