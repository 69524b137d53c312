"""The benchmark of imports and of the first picture says something of each, and what does not run is one line."""

import bench_start
import pytest

from pnen_runtime.errors import PnenError


def test_every_row_has_its_figures(call):
    result = call("bench_start", "--repeats", 1)
    assert result.exit_code == 0, result.output
    rows = [line.strip("| ").split(" | ") for line in result.output.splitlines()[2:]]
    assert [row[0] for row in rows] == list(bench_start.WORK)
    for _, best, median, cpu, peak in rows:
        assert best == median and float(cpu) > 0 and 10 < float(peak) < 500


def test_what_does_not_run_is_one_line():
    with pytest.raises(PnenError, match="^import nothing_of_this_name: ModuleNotFoundError.*'$"):
        bench_start.measure("import nothing_of_this_name")
