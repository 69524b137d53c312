"""The latency comparison, on the smallest sizes."""

import importlib.util
import json
from pathlib import Path

import click.testing
import pytest

PATH = Path(__file__).parents[2] / "tools" / "bench_trt.py"
spec = importlib.util.spec_from_file_location("bench_trt", PATH)
bench_trt = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bench_trt)


@pytest.mark.slow
def test_every_way_is_timed_and_close_to_pytorch(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_trt, "SIZES", {"96x96": (1, 96, 96)})
    arguments = ["l0", "--repeats", "2", "--json", str(tmp_path / "times.json")]
    result = click.testing.CliRunner().invoke(bench_trt.main, arguments)
    assert result.exit_code == 0, result.output
    times = json.loads((tmp_path / "times.json").read_text())
    assert len(times) == 3 and all(len(repeats) == 2 for repeats in times.values())
    rows = [line.split("|") for line in result.output.splitlines() if line.startswith("| 96x96")]
    assert all(row[6].strip() == "equal" or float(row[6]) > 100 for row in rows)


def test_an_unknown_model_is_one_line():
    result = click.testing.CliRunner().invoke(bench_trt.main, ["nothing"])
    assert result.exit_code == 1 and "no such checkpoint" in result.output
