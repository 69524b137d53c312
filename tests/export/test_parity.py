"""The gate between an exported file and its name."""

import json

import numpy as np
import pytest
import torch

from pnen_export.inputs import Input
from pnen_export.parity import Mismatch, Reference, compare, report, require, torch_run
from pnen_runtime.errors import ParityError

GREY = np.full((1, 3, 100, 100), 128 / 255, np.float32)


class Brighter(torch.nn.Module):
    def __init__(self, by: float):
        super().__init__()
        self.by = by

    def forward(self, x):
        return x * 0, x + self.by


def changed(count: int, by: float) -> np.ndarray:
    """GREY with `count` values changed."""
    result = GREY.copy()
    result.reshape(-1)[:count] += np.float32(by)
    return result


@pytest.mark.parametrize(
    ("precision", "count", "by", "passed"),
    [
        ("fp32", 0, 0, True),
        ("fp32", 1, 0.9e-4, True),
        ("fp32", 1, 1.1e-4, False),
        ("fp16", 1, 1.9 / 255, True),
        ("fp16", 1, 2.1 / 255, False),  # too far off
        ("fp16", 30000, 0.9e-3, True),
        ("fp16", 30000, 1.1e-3, False),  # under 60 dB
        ("fp16", 29, 1.9 / 255, True),
        ("fp16", 31, 1.9 / 255, False),  # more than a thousandth of the values two levels off
    ],
)
def test_tolerance_is_that_of_the_contract(precision, count, by, passed):
    assert compare(changed(count, by), GREY, precision).passed == passed


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_passes(precision, value):
    broken = changed(1, value)
    for result, expected in ((broken, GREY), (GREY, broken), (broken, broken)):
        row = compare(result, expected, precision)
        assert not row.passed
        with pytest.raises(Mismatch, match="not finite"):
            require([row], "model.onnx", precision)


def test_report_of_equal_results_is_json_with_finite_numbers():
    assert json.loads(json.dumps(report([compare(GREY, GREY, "fp32")]), allow_nan=False))["psnr"] == 200


def test_message_names_the_file_the_worst_input_and_what_to_do():
    rows = [compare(changed(1, by), GREY, "fp16", kind, "1x9x9") for kind, by in (("flat", 0.1), ("noise", 0.2))]
    with pytest.raises(Mismatch, match=r"model.onnx: 2 of 2 inputs.* noise 1x9x9, is off by up to 0.2,.*FP32") as error:
        require(rows, "model.onnx", "fp16")
    assert error.value.exit_code == 3
    assert "\n" not in str(error.value)
    assert error.value.rows == rows


def test_every_batch_of_an_input_is_compared_with_the_final_image_of_the_network():
    inputs, done = [Input("noise", "two", [GREY, GREY]), Input("flat", "one", [GREY])], []
    reference = Reference(torch_run(Brighter(0.1)), inputs)
    for broken in range(3):
        left = iter([0.1 + 0.5 * (number == broken) for number in range(3)])
        rows = reference.compare(lambda batch: batch + np.float32(next(left)), "fp32", lambda *at: done.append(at))  # noqa: B023
        assert [row.passed for row in rows] == [broken == 2, broken < 2]
    assert done[:3] == [(1, 3), (2, 3), (3, 3)]


def test_a_network_that_gives_nan_has_no_reference():
    with pytest.raises(ParityError, match="not finite in PyTorch"):
        Reference(torch_run(Brighter(float("nan"))), [Input("flat", "one", [GREY])])
