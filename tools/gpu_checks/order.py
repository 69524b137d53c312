"""Every line of the proof, the most telling first: those of 3 minutes, then those of 8, then those of 30."""

from __future__ import annotations

from . import device, engines, same, speed
from .lab import ADAPTERS
from .line import Check, Line
from .subject import Subject

SIZES = (3, 8, 30)  # minutes that the lines of one stack and one adapter take, by their own seconds
BUILD = {"tensorrt": 120, "tensorrt-rtx": 40}  # seconds: TensorRT measures kernels, TensorRT-RTX does not
Step = tuple[Check, float]


def all_lines() -> list[Line]:
    """The lines of every stack, whatever is installed here."""
    return [*_of_3_minutes(), *_of_8_minutes(), *_of_30_minutes()]


def _lines(subject: Subject, minutes: int, *steps: Step) -> list[Line]:
    return [Line(check, subject, seconds, minutes) for check, seconds in steps]


def _around_the_network(tiles: float) -> tuple[Step, ...]:
    """What every backend on a GPU must do; `tiles` seconds for its pictures."""
    return (same.tiles_like_host, tiles), (same.cuda_arrays, 5), (same.threads, 8)


def _of_3_minutes() -> list[Line]:
    """The bundled network: an engine of it, PyTorch's pictures, tiles, times; without any stack, what is around one."""
    lines = [Line(device.device, Subject("cuda", adapter=adapter), 3, 3) for adapter in ADAPTERS]
    for stack, build in BUILD.items():
        tiles, *others = _around_the_network(25)
        steps = (engines.build, build / 2), (same.parity, 10), tiles, (speed.times, 30), (device.graphs, 5), *others
        lines += _lines(Subject(stack, "l0", "fp16"), 3, *steps)
    tiles, *others = _around_the_network(30)
    steps = (speed.nodes, 10), (same.parity, 15), tiles, (speed.times, 30), *others
    lines += _lines(Subject("onnxruntime-cuda", "l0", "fp16", "ort"), 3, *steps)
    for adapter in ADAPTERS:
        lines += _lines(Subject("cuda", "identity", "fp32", adapter=adapter), 3, *_around_the_network(10))
    return lines


def _of_8_minutes() -> list[Line]:
    """Full PNEN; what the memory does; the tests of the CUDA layer on this card."""
    lines = []
    for stack, build in BUILD.items():
        full, small = Subject(stack, "full", "fp16"), Subject(stack, "l0", "fp16")
        steps = (
            (engines.build, build),
            (same.parity, 20),
            (speed.times, 40),
            (device.graphs, 10),
            (engines.key_guard, 1),
        )
        lines += _lines(full, 8, *steps) + _lines(small, 8, (device.memory, 30), (engines.cache, 5))
    full, small = (Subject("onnxruntime-cuda", network, "fp16", "ort") for network in ("full", "l0"))
    lines += _lines(full, 8, (speed.nodes, 10), (same.parity, 30), (speed.times, 45))
    lines += _lines(small, 8, (device.memory, 30))
    lines += _lines(Subject("cuda"), 8, (device.own_tests, 40))
    return lines + [Line(device.copies, Subject("cuda", adapter=adapter), 5, 8) for adapter in ADAPTERS]


def _of_30_minutes() -> list[Line]:
    """FP32, the other files, the other adapter, what becomes of broken engines, and the peers."""
    lines = []
    for stack, build in BUILD.items():
        full, small = Subject(stack, "full", "fp16"), Subject(stack, "l0", "fp16")
        exact, exact_full = Subject(stack, "l0", "fp32"), Subject(stack, "full", "fp32")
        lines += _lines(full, 30, (device.memory, 30), (speed.first_call, 15))
        lines += _lines(small, 30, (engines.broken_files, 30 + build))
        lines += _lines(exact, 30, (engines.build, build / 2), (same.parity, 15), (same.tiles_like_host, 40))
        for adapter in ADAPTERS:
            lines += _lines(Subject(stack, "full", "fp16", adapter=adapter), 30, (same.parity, 20))
        lines += _lines(small, 30, (engines.export_command, build))
        lines += _lines(exact_full, 30, (engines.build, build), (same.parity, 20), (speed.times, 60))
        for network, seconds in (("l0", build / 2), ("full", build)):
            whole = Subject(stack, network, "fp16", sizes="whole")
            lines += _lines(whole, 30, (engines.build, seconds), (same.parity, 20))
        lines += _lines(full, 30, (engines.beyond_the_guard, 90 + build))
    lines += _onnxruntime_besides()
    for adapter in ADAPTERS:
        lines += _lines(Subject("cuda", "identity", "fp32", adapter=adapter), 30, (device.memory, 30))
    return [*lines, Line(speed.bench, Subject("torch"), 240, 30)]


def _onnxruntime_besides() -> list[Line]:
    lines = []
    for network in ("full", "l0"):
        for precision, target in (("fp16", "onnx"), ("fp32", "ort"), ("fp32", "onnx")):
            subject = Subject("onnxruntime-cuda", network, precision, target)
            lines += _lines(subject, 30, (speed.nodes, 10), (same.parity, 30))
    lines += _lines(Subject("onnxruntime-cuda", "l0", "fp32", "ort"), 30, (same.tiles_like_host, 60))
    full, exact = (Subject("onnxruntime-cuda", "full", precision, "ort") for precision in ("fp16", "fp32"))
    lines += _lines(full, 30, (device.memory, 40), (speed.first_call, 20))
    return lines + _lines(exact, 30, (speed.times, 60), (device.memory, 40), (speed.first_call, 20))
