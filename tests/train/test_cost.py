"""What a run is said to cost: measured on its own first steps, or by a dry run."""

import re

import pytest
import torch
from click.testing import CliRunner

from pnen_train.cli import main
from pnen_train.training import cost
from pnen_train.training.cost import Meter, measured, sizes_of, told
from pnen_train.training.state import State
from pnen_train.training.trial import Costs

CPU = torch.device("cpu")
PLAN = {"steps": 36_000}


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(cost, "say", lines.append)
    monkeypatch.setattr(cost, "scoring_seconds", lambda *_: 8.0)
    monkeypatch.setattr(cost, "peak_memory", lambda _: 1_500_000_000)
    return lines


def run(state, meter, seconds, steps=6, first=0):
    """So many steps of so many seconds."""
    for state.step in range(first + 1, first + steps + 1):
        state.seconds += seconds
        meter(state)


@pytest.mark.parametrize(
    ("seconds", "first", "line"),
    [
        (1.0, 0, "r: 36,000 steps take about 30 hours, 1.5 GB of memory on cpu"),
        (0.1, 0, None),  # 6 steps are too few of these to say
        (1.0, 27_000, "r: 9,000 steps more take about 7.5 hours, 1.5 GB of memory on cpu"),
    ],
)
def test_a_run_says_once_what_it_costs_with_its_validations(said, tiny, pairs, seconds, first, line):
    """9,000 validations of 8 seconds: 20 hours."""
    state = State.fresh(tiny(optimiser=PLAN), pairs, CPU)
    run(state, Meter("r", [(40, 48)], CPU), seconds, first=first)
    assert said == [line] * (line is not None) and state.model.training


def test_of_a_run_under_a_minute_or_fitted_to_a_time_nothing_is_said(said, tiny, pairs):
    for steps, record in ((4, {}), (36_000, {"fitted": {}})):
        state = State.fresh(tiny(optimiser={"steps": steps}), pairs, CPU)
        state.training |= record
        run(state, Meter("r", [], CPU), 4.0)
    assert not said


def test_late_crops_count_by_their_pixels_and_their_memory_is_not_known_yet(said, tiny, pairs):
    state = State.fresh(tiny(data={"late_share": 0.5, "late_crop": 32, "late_batch": 2},
                             optimiser=PLAN, run={"evaluate_every": 36_000}), pairs, CPU)  # fmt: skip
    run(state, Meter("r", [], CPU), 1.0)
    assert said == ["r: 36,000 steps take about 25 hours on cpu"]  # (18,000 + 4 * 18,000) seconds


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data": {"late_share": 0.5, "late_crop": 24, "late_batch": 1}},
        {"target": {"strengths": [0.002, 0.02, 0.2]}, "network": {"scales": []}},
        {"target": {"noise": 25, "strengths": [0, 50]}, "network": {"scales": [], "strength_scale": "linear"}},
        {"target": {"scale": 3}},
        {"target": {"function": "nowhere:f"}},
        {"optimiser": {"start": "nowhere", "average": 0.9}, "run": {"tile": "whole"}},
    ],
    ids=str,
)
def test_every_task_is_measured_without_pictures_or_weights(changes, tiny, images):
    ticks = iter(range(1000))
    costs, memory = measured(tiny(**changes), sizes_of(sorted(images.iterdir())), CPU, lambda: next(ticks))
    assert costs.step > 0 and costs.late_step > 0 and costs.validation > 0 and memory > 1e8


def test_costs_are_in_words(tiny):
    recipe = tiny(optimiser={"steps": 1000}, run={"evaluate_every": 1000})
    assert told(recipe, Costs(0.9, 0.9, 0, 0), None, CPU) == "1,000 steps take about 15 minutes on cpu"


def test_a_dry_run_measures_a_long_run_only(recipe_file, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = CliRunner().invoke(main, ["run", str(recipe_file()), "--dry-run"])
    assert short.exit_code == 0 and not short.stderr
    long = CliRunner().invoke(main, ["run", str(recipe_file()), str(images), "--steps", "5000", "--dry-run"])
    pattern = r"tiny: 5,000 steps take about \S+ (minutes|hours), \S+ GB of memory on cpu, beside making targets\n"
    assert long.exit_code == 0 and re.fullmatch(pattern, long.stderr)
    assert not (tmp_path / "runs").exists()
