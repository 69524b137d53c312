"""The comparison of all ways to run a network, on a tiny random one."""

import csv
import json
import sys
from dataclasses import fields
from pathlib import Path

import click.testing
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pnen_runtime.card import Card
from pnen_runtime.errors import ParityError, UsageError
from pnen_runtime.smoother import Smoother
from pnen_train.checkpoint import Checkpoint, save_checkpoint
from pnen_train.models import build

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import bench_trt
from bench import measure, report
from bench.measure import Bench, Row, make_input
from bench.network import count_flops
from bench.process import Failed, Process, Settings
from bench.ways import WAYS, Case, make_cases, read_size, read_ways

TINY = {"channels": 4, "stages": 1, "dilations": [1], "scales": [2], "key_channels": 2, "value_channels": 3}
CARD = Card(network="pnen", task={}, config=TINY, tile=32, tile_step=24)
SETTINGS = Settings(repeats=3, warm_up=1, seconds=60, longest=60, threads=1)


def run(*arguments: object) -> click.testing.Result:
    return click.testing.CliRunner().invoke(bench_trt.main, [str(word) for word in arguments])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A checkpoint of a few hundred weights, with tiles of 32."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.pt"
    training = {"task": {"filter": "l0"}, "crop": 32, "tile": 32, "tile_step": 24}
    torch.manual_seed(0)
    save_checkpoint(path, Checkpoint.of("pnen", build("pnen", TINY | {"init": "author"}), training=training))
    return path


@pytest.fixture(scope="module")
def output(tiny):
    """The command's result, and the files that it wrote: JSON, CSV, PNG."""
    files = [tiny.with_suffix(suffix) for suffix in (".json", ".csv", ".png")]
    options = [word for file in files for word in (f"--{file.suffix[1:].replace('png', 'plot')}", file)]
    ways, patient = "ort-cpu,trt,torch-fp16", ["--seconds", 1e6, "--longest", 1e6]
    result = run(tiny, "--sizes", "2x16x16,40x48", "--ways", ways, "--repeats", 3, "--threads", 1, *patient, *options)
    assert result.exit_code == 0, result.output
    return result.stdout, *files


@pytest.mark.slow
def test_every_row_has_every_column(output):
    printed, path, *_ = output
    rows = json.loads(path.read_text())["rows"]
    cases = [(row["size"], row["setting"], row["way"]) for row in rows if row["device"] == "cpu"]
    settings = [("2x16x16", "batch"), ("40x48", "tiles"), ("40x48", "whole")]
    assert cases == [(*case, way) for case in settings for way in ("torch", "ort-cpu")]
    for row in rows:
        assert set(row) == {entry.name for entry in fields(Row)}
        assert not [name for name, value in row.items() if value is None], row
        assert row["repeats"] == len(row["times_ms"]) == len(row["network_times_ms"]) == 3
    lines = [line for line in printed.splitlines() if line.startswith("| ") and "best ms" not in line]
    assert len(lines) == len(rows)
    assert all(len(line.split(" | ")) == len(report.COLUMNS) and "|  |" not in line for line in lines)


@pytest.mark.slow
def test_ways_agree_with_pytorch_and_the_network_is_part_of_the_whole(output):
    rows = [row for row in json.loads(output[1].read_text())["rows"] if row["device"] == "cpu"]
    for row in rows:
        assert (
            row["psnr_db"] == 200 if row["way"] == "torch" else row["psnr_db"] > 70
        )  # 8 bits: a level on 1 % of values
        assert all(part <= whole for part, whole in zip(row["network_times_ms"], row["times_ms"], strict=True))
        assert row["median_ms"] <= row["p90_ms"] <= row["p99_ms"] <= max(row["times_ms"])
        assert 20 < row["peak_mb"] < 2000


@pytest.mark.slow
@pytest.mark.skipif(measure.gpu_free_mb() is not None, reason="there is a GPU, so nothing is missing")
def test_what_cannot_run_is_named_with_its_reason(output):
    printed, path, *_ = output
    missing = json.loads(path.read_text())["missing"]
    assert list(missing) == ["PyTorch FP16", "TensorRT FP32"]
    assert "needs an NVIDIA GPU" in missing["PyTorch FP16"] and "not" in missing["TensorRT FP32"]
    assert all(f"- {name}: {reason}" in printed for name, reason in missing.items())


@pytest.mark.slow
def test_json_csv_and_picture_agree(output):
    _, path, table, picture = output
    rows, lines = json.loads(path.read_text())["rows"], list(csv.DictReader(table.open()))
    assert len(rows) == len(lines)
    for row, line in zip(rows, lines, strict=True):
        assert {name: str(row[name]) for name in line} == line
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG" and drawn.width > 1000 and len(drawn.convert("RGB").getcolors(2**20)) > 20


def test_flops_are_those_counted_by_hand():
    pixels, reference = 20 * 18, 10 * 9
    convolutions = pixels * (9 * 3 * 4 + 2 * 9 * 4 * 4)  # entry, one dilated residual block
    convolutions += pixels * (4 * 2 + 3 * 4) + reference * 9 * (4 * 2 + 4 * 3)  # query, merge; keys, values
    convolutions += pixels * 9 * (4 * 4 + 4 * 4 + 4 * 3)  # exit
    attention = pixels * reference * (2 + 3)  # scores, weighted values
    assert count_flops(build("pnen", TINY), (2, 20, 18)) == 2 * 2 * (convolutions + attention)


def test_percentiles_rates_and_shares_follow_from_the_times():
    times = np.random.default_rng(0).permutation(np.arange(1.0, 102.0)).tolist()
    row = Row(
        "", "", "batch", 1, "ort-cpu", "", "fp32", "cpu", gflop=3.0, times_ms=times, network_times_ms=[20.0, 10.0]
    )
    row.summarise()
    row.compare_rate({"cpu fp32": 400e9, "cpu bf16": 1.0})
    assert (row.repeats, row.median_ms, row.p90_ms, row.p99_ms, row.network_ms) == (101, 51, 91, 100, 15)
    assert row.gflop_per_s == pytest.approx(200) and row.share == pytest.approx(0.5)


class Counting:
    """A backend that gives its input back, and counts."""

    name = info = "counting"
    card = CARD

    def __init__(self):
        self.shapes = []

    def run(self, batch):
        self.shapes.append(batch.shape)
        return batch

    def close(self):
        pass


@given(height=st.integers(16, 120), width=st.integers(16, 120))
def test_a_case_has_the_tiles_that_the_smoother_runs(height, width):
    for case in make_cases(CARD, [f"{height}x{width}"]):
        backend = Counting()
        tile = "whole" if case.setting == "whole" else None
        Smoother("none", backend=backend, tile=tile, memory=10**9).run(make_input(case, 3))
        assert len(backend.shapes) == case.tiles
        assert {(shape[0], *shape[2:]) for shape in backend.shapes} == {case.shape}


@pytest.mark.parametrize("channels", [1, 3])
def test_inputs_are_the_photograph_at_the_size_of_the_case(channels):
    batch = make_input(Case("", "batch", (9, 20, 30), (20, 30)), channels)
    assert batch.shape == (9, channels, 20, 30) and batch.dtype == np.float32
    assert len({crop.tobytes() for crop in batch}) == 9
    image = make_input(Case("", "whole", (1, 20, 30), (20, 30)), channels)
    assert image.shape == (20, 30, channels) and image.dtype == np.uint8 and image.std() > 20


def test_what_does_not_fit_says_how_much_it_would_need(monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "free_mb", lambda: 100.0)
    bench = Bench("none", list(WAYS), SETTINGS, tmp_path, CARD)
    bench.rates = {"cpu fp32": 1e11}
    case, ways = Case("", "whole", (1, 200, 200), (200, 200)), {way.key: way for way in WAYS}
    for key in ("torch-naive", "ort-cpu-onnx"):  # 200·200 pixels, a quarter as many keys, 2.2 copies, 4 bytes: 3.5 GB
        assert bench._too_much(ways[key], case, 10**9).startswith("would need 3,5")
    assert not bench._too_much(ways["ort-cpu"], case, 10**9)
    assert bench._too_much(ways["ort-cpu"], case, 10**13) == "would take 100 s a run, at the speed of a matrix product"


def test_a_way_that_dies_is_named_with_its_last_words(tmp_path):
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\nread line\necho first >&2\necho 'no more memory' >&2\nexit 7\n")
    dying.chmod(0o755)
    settings = Settings(3, 1, 60, 60, 1, {"tensorrt": str(dying)})
    with (
        Process({"program": "tensorrt"}, settings, tmp_path) as process,
        pytest.raises(Failed, match="exit code 7: no more memory"),
    ):
        process.ask("load")


@pytest.mark.parametrize(
    ("decibels", "precision", "passes"), [(59, "fp32", False), (61, "fp16", True), (40, "bf16", True)]
)
def test_another_picture_is_a_failure(decibels, precision, passes):
    row = Row("", "", "batch", 1, "", "", precision, psnr_db=decibels)
    if passes:
        bench_trt.require_parity([row])
    else:
        with pytest.raises(ParityError, match="59"):
            bench_trt.require_parity([row])


def test_the_way_that_all_are_compared_with_is_always_there():
    assert [way.key for way in read_ways("ort-cpu")] == ["torch", "ort-cpu"]
    assert len(read_ways(None)) == len({way.key for way in WAYS}) == len({way.name for way in WAYS})


@pytest.mark.parametrize("text", ["", "x", "20", "1x2x3x4", "0x20", "-1x20"])
def test_a_wrong_size_is_wrong_usage(text):
    with pytest.raises(UsageError, match="expected a size"):
        read_size(text)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 2, "no such checkpoint"),
        (["--sizes", "huge"], 2, "expected a size"),
        (["--sizes", "8x8"], 2, "at least 16 pixels"),
        (["--ways", "magic"], 2, "expected ways out of"),
        (["--python", "tensorrt=nowhere"], 2, "and a Python"),
    ],
)
def test_wrong_words_are_one_line(arguments, code, message):
    result = run(*arguments)
    assert result.exit_code == code and message in result.stderr and len(result.stderr.strip().splitlines()) == 1
