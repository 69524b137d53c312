"""The table as people read it."""

from dataclasses import replace

from pnen_export.parity import Row
from pnen_export.table import parity_table


def row(kind: str, size: str, error: float, passed: bool = True) -> Row:
    return Row(kind, size, error, 60.0, 1.0, passed)


def test_strengths_have_lines_of_their_own():
    rows = [
        replace(row("noise", size, 1e-6), strength=at) for size in ("1x16x16", "2x61x90") for at in ("0.002", "a map")
    ]
    _, head, *lines = parity_table("model.onnx", rows).splitlines()
    assert head.split()[:2] == ["size", "strength"]
    assert [line[31:40].strip() for line in lines] == ["0.002", "a map"] * 2
    assert len({line.index("dB") for line in lines}) == 1


def test_has_the_worst_input_of_each_size_and_every_failure():
    rows = [row("flat", "1x16x16", 1e-6), row("noise", "1x16x16", 2e-6), row("impulse", "1x16x16", 1e-7)]
    rows += [row("flat", "2x61x90", float("inf"), False), row("noise", "2x61x90", 1e-7)]
    rows += [row("checkerboard", "2x61x90", 1, False)]
    title, head, *lines = parity_table("model.onnx", rows).splitlines()
    assert title == "model.onnx against PyTorch in FP32"
    assert head.split() == ["size", "worst", "input", "max", "abs", "PSNR", "within", "1", "level"]
    assert [(*line.split()[:2], line.split()[-1]) for line in lines] == [
        ("1x16x16", "noise", "ok"),
        ("2x61x90", "flat", "FAILED"),
        ("2x61x90", "checkerboard", "FAILED"),
    ]
    assert len({line.index("dB") for line in lines}) == 1
