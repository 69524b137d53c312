"""Every line of the proof, the most important first: what does not fit into the time is at the end."""

from __future__ import annotations

from . import device, engines, same, speed
from .lab import ADAPTERS
from .line import Check, Line, Subject

BUILD = {"tensorrt": 120, "tensorrt-rtx": 40}  # seconds: TensorRT measures kernels, TensorRT-RTX does not


def all_lines() -> list[Line]:
    """The lines of every stack, whatever is installed here."""
    lines = [Line(check, Subject("cuda", adapter=adapter), 5)
             for adapter in ADAPTERS for check in (device.device, device.copies)]  # fmt: skip
    for stack in BUILD:
        lines += _first(stack)
    lines += _onnxruntime()
    for adapter in ADAPTERS:
        subject = Subject("cuda", "identity", "fp32", adapter=adapter)
        lines += [Line(check, subject, seconds) for check, seconds in _around_the_network(15)]
    for stack in BUILD:
        lines += _then(stack)
    return [*lines, Line(speed.bench, Subject("torch"), 300)]


def _around_the_network(tiles: int) -> list[tuple[Check, int]]:
    """What every backend on a GPU must do; `tiles` seconds for its pictures."""
    return [(same.tiles_like_host, tiles), (same.cuda_arrays, 8), (same.threads, 10), (device.memory, 30)]


def _first(stack: str) -> list[Line]:
    build, full, small = BUILD[stack], Subject(stack, "full", "fp16"), Subject(stack, "l0", "fp16")
    return [
        Line(engines.build, full, build),
        Line(same.parity, full, 20),
        Line(speed.times, full, 45),
        Line(device.graphs, full, 10),
        Line(engines.build, small, build),
        Line(same.parity, small, 15),
        *(Line(check, small, seconds) for check, seconds in _around_the_network(40)),
        Line(device.memory, full, 30),
        Line(engines.key_guard, full, 1),
        Line(engines.cache, small, 5),
        Line(speed.first_call, full, 15),
        Line(engines.broken_files, small, 30 + build),
    ]


def _then(stack: str) -> list[Line]:
    build, full, small = BUILD[stack], Subject(stack, "full", "fp32"), Subject(stack, "l0", "fp32")
    whole = [Subject(stack, network, "fp16", sizes="whole") for network in ("l0", "full")]
    others = [Subject(stack, "full", "fp16", adapter=adapter) for adapter in ADAPTERS]
    return [
        Line(engines.build, small, build),
        Line(same.parity, small, 15),
        Line(same.tiles_like_host, small, 40),
        Line(speed.times, Subject(stack, "l0", "fp16"), 45),
        *(Line(same.parity, subject, 20) for subject in others),
        Line(engines.export_command, Subject(stack, "l0", "fp16"), build),
        Line(engines.build, full, build),
        Line(same.parity, full, 20),
        Line(speed.times, full, 60),
        *(
            Line(check, subject, seconds)
            for subject in whole
            for check, seconds in ((engines.build, build), (same.parity, 20), (speed.times, 45))
        ),
        Line(engines.beyond_the_guard, Subject(stack, "full", "fp16"), 90 + build),
    ]


def _onnxruntime() -> list[Line]:
    lines = []
    for network in ("full", "l0"):
        for precision in ("fp16", "fp32"):
            for target in ("ort", "onnx"):
                subject = Subject("onnxruntime-cuda", network, precision, target)
                lines += [Line(speed.nodes, subject, 10), Line(same.parity, subject, 30)]
    fast, exact = (Subject("onnxruntime-cuda", "l0", precision, "ort") for precision in ("fp16", "fp32"))
    lines += [Line(check, fast, seconds) for check, seconds in _around_the_network(60)]
    lines += [Line(same.tiles_like_host, exact, 60)]
    for precision in ("fp16", "fp32"):
        full = Subject("onnxruntime-cuda", "full", precision, "ort")
        lines += [Line(speed.times, full, 60), Line(device.memory, full, 40), Line(speed.first_call, full, 20)]
    return lines
