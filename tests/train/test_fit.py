"""Runs fitted to a time, by a clock of the tests' own, on which each part of a run takes what is said here."""

import json
import re
import signal
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from pnen_runtime.errors import CheckpointError, UsageError
from pnen_train.checkpoint import load_checkpoint
from pnen_train.cli import main
from pnen_train.commands import run as command
from pnen_train.config import override
from pnen_train.training import train as training
from pnen_train.training import trial
from pnen_train.training.fit import fitted_steps, with_steps
from pnen_train.training.train import Stopped, TimeIsUp, train
from pnen_train.training.trial import Costs

STEP, LATE, VALIDATION, CHECKPOINT = 1.0, 3.0, 7.0, 2.0  # the validation of one picture
COMPILING = FIRST_USE = 0.0  # besides, of the first step and the first validation
COSINE = {"steps": 400, "schedule": "cosine", "warmup_steps": 40, "minimum_rate": 1e-6, "average": 0.9}
SELDOM = {"evaluate_every": 10, "checkpoint_every": 15}


@pytest.fixture
def clock(monkeypatch):
    """A clock, in seconds, that only the work of a run moves."""
    now, step, validate, save = [100.0], training.train_step, training.validate, trial.save_checkpoint
    once = {"COMPILING", "FIRST_USE"}

    def first(name):
        now[0] += globals()[name] if name in once else 0
        once.discard(name)

    def train_step(state, *rest):
        first("COMPILING")
        now[0] += LATE if state.recipe.data.at(state.step, state.recipe.optimiser.steps)[0] == 24 else STEP
        return step(state, *rest)

    def validation(state, pairs, device):
        first("FIRST_USE")
        now[0] += VALIDATION * len(pairs)
        return validate(state, pairs, device)

    def save_checkpoint(path, checkpoint):
        now[0] += CHECKPOINT if path.name == "last.pt" else 0
        save(path, checkpoint)

    monkeypatch.setattr(training, "train_step", train_step)
    monkeypatch.setattr(training, "validate", validation)
    monkeypatch.setattr(training, "save_checkpoint", save_checkpoint)
    monkeypatch.setattr(trial, "save_checkpoint", save_checkpoint)
    return lambda: now[0]


@pytest.mark.parametrize("late", [{}, {"late_share": 0.2, "late_crop": 24, "late_batch": 2}])
def test_a_fitted_run_ends_with_its_time_and_is_the_run_of_its_recipe(tmp_path, tiny, pairs, clock, late):
    recipe, began, told = tiny(optimiser=COSINE, run=SELDOM, data=late), clock(), []
    last = train(recipe, pairs[:3], pairs[3:], tmp_path / "fitted", device="cpu", deadline=began + 200, fit=True,
                 clock=clock, begin=lambda state: told.append((state.step, state.recipe)))  # fmt: skip
    kept_back = 0.03 * 200
    assert 200 - kept_back - LATE - VALIDATION - CHECKPOINT < clock() - began <= 200 - kept_back
    steps = last.step
    assert load_checkpoint(tmp_path / "fitted" / "last.pt").step == steps > 60
    record = last.training["fitted"]
    assert record["costs"] == {"step": STEP, "late_step": LATE if late else STEP, "validation": VALIDATION,
                               "checkpoint": CHECKPOINT}  # fmt: skip
    assert (record["seconds"], record["from"]["steps"], record["from"]["warmup_steps"]) == (200, 400, 40)
    made = last.training["recipe"]["optimiser"]
    assert (made["steps"], made["warmup_steps"]) == (steps, round(steps / 10))
    written = json.loads((tmp_path / "fitted" / "recipe.json").read_text())
    assert (written["optimiser"]["steps"], written["fitted"]) == (steps, record)
    rates = [json.loads(line)["rate"] for line in (tmp_path / "fitted" / "metrics.jsonl").read_text().splitlines()]
    assert rates[-1] == pytest.approx(1e-6, rel=0.05), "the whole cosine"
    assert told == [(0, with_steps(recipe, steps))] and not list((tmp_path / "fitted").glob(".*"))
    train(with_steps(recipe, steps), pairs[:3], pairs[3:], tmp_path / "given", device="cpu")
    for name in ("last.pt", "best.pt"):
        ours, theirs = (load_checkpoint(tmp_path / folder / name) for folder in ("fitted", "given"))
        assert (ours.step, ours.sha256()) == (theirs.step, theirs.sha256())


def test_a_fitted_run_goes_on_with_its_own_steps_to_the_same_weights(tmp_path, tiny, pairs, clock):
    def interrupt(step, *_):
        if step == 20:
            signal.raise_signal(signal.SIGINT)

    recipe, both = tiny(optimiser=COSINE, run=SELDOM), {"device": "cpu", "clock": clock}
    whole = train(recipe, pairs[:3], pairs[3:], tmp_path / "whole", deadline=clock() + 100, fit=True, **both)
    with pytest.raises(Stopped):
        train(
            recipe, pairs[:3], pairs[3:], tmp_path / "parts", deadline=clock() + 100, fit=True, watch=interrupt, **both
        )
    with pytest.raises(CheckpointError, match=f"expected --steps {whole.step}, as the run began, got 50"):
        train(override(recipe, steps=50), pairs[:3], pairs[3:], tmp_path / "parts", resume=True, **both)
    with pytest.raises(TimeIsUp):  # with --fit as without: the steps stay, and the time may end before them
        train(recipe, pairs[:3], pairs[3:], tmp_path / "parts", resume=True, deadline=clock() + 9, fit=True, **both)
    parts = train(recipe, pairs[:3], pairs[3:], tmp_path / "parts", resume=True, **both)
    assert (parts.step, parts.sha256()) == (whole.step, whole.sha256())
    assert parts.training["fitted"]["costs"] == whole.training["fitted"]["costs"]


@pytest.mark.parametrize("part", ["train_step", "validate"])
def test_an_interrupt_in_the_trial_ends_it_at_once_and_leaves_no_run(tmp_path, tiny, pairs, clock, part):
    def interrupted(*_):
        signal.raise_signal(signal.SIGINT)

    recipe = tiny(optimiser=COSINE, run=SELDOM)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt) as stopped:
        patch.setattr(training, part, interrupted)
        train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu", deadline=clock() + 100, fit=True, clock=clock)
    assert stopped.type is KeyboardInterrupt and not list(tmp_path.iterdir())


def test_a_run_that_was_not_fitted_is_not_fitted_later(tmp_path, tiny, pairs, clock):
    recipe = tiny(optimiser=COSINE | {"steps": 4, "warmup_steps": 1})
    train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu", clock=clock)
    with pytest.raises(UsageError, match="expected a run that was begun with --fit, got one of 4 steps"):
        train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu", clock=clock, resume=True, fit=True, deadline=1e9)


@pytest.mark.parametrize(
    ("optimiser", "seconds", "message"),
    [
        (
            COSINE,
            25,
            r"trial takes at least 14.0 seconds and one step .* 12.0 more, 25.0 were left .* raise --max-time by 0.5",
        ),
        ({"schedule": "plateau"}, 200, r'expected schedule = "cosine" or "step" .* got "plateau"'),
        (COSINE, float("inf"), "expected a deadline for a fitted run, got none"),
    ],
)
def test_what_cannot_be_fitted_is_one_line_and_leaves_no_run(tmp_path, tiny, pairs, clock, optimiser, seconds, message):
    recipe = tiny(optimiser=optimiser, run=SELDOM)
    with pytest.raises(UsageError, match=message):
        train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu", deadline=clock() + seconds, fit=True, clock=clock)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("costs", "seconds", "longest"),
    [
        ({"COMPILING": 300}, 60, 301),
        ({"STEP": 25}, 60, 25),
        ({"LATE": 60}, 60, 60),
        ({"VALIDATION": 24}, 42, 24),  # of one of four pictures
        ({"VALIDATION": 100}, 42, 100),
        ({"CHECKPOINT": 40}, 60, 40),
        ({}, 20, 7),
        ({}, -5, 7),  # other work took it all
    ],
)
def test_a_trial_ends_with_its_time_and_says_what_would_do(
    tmp_path, tiny, pairs, clock, monkeypatch, costs, seconds, longest
):
    for name, value in costs.items():
        monkeypatch.setattr(sys.modules[__name__], name, value)
    recipe = tiny(optimiser=COSINE, run=SELDOM, data={"late_share": 0.2, "late_crop": 24, "late_batch": 2})
    given = recipe, pairs[:3], pairs, tmp_path / "run"
    refusals: list[UsageError] = []
    while len(refusals) < 3:  # the first may not have come to see all parts
        began = clock()
        try:
            train(*given, device="cpu", deadline=began + seconds, fit=True, clock=clock)
            break
        except UsageError as refusal:
            refusals.append(refusal)
            assert clock() - began <= max(0, seconds) + longest and not (tmp_path / "run" / "last.pt").exists()
            seconds += 60 * float(re.search(r"raise --max-time by ([\d.]+) minutes", str(refusal))[1])
    assert clock() - began <= seconds and 1 <= len(refusals) <= 2


def test_what_only_the_first_validation_takes_refuses_no_run(tmp_path, tiny, pairs, clock, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "FIRST_USE", 40.0)
    last = train(tiny(optimiser=COSINE, run=SELDOM), pairs[:2], pairs[2:], tmp_path, device="cpu",
                 deadline=clock() + 130, fit=True, clock=clock)  # fmt: skip
    assert last.step == last.training["recipe"]["optimiser"]["steps"] > 0


def test_the_steps_are_the_most_that_fit(tiny):
    for late_share in (0.0, 0.3):
        recipe = tiny(optimiser=COSINE, run=SELDOM, data={"late_share": late_share})
        costs = Costs(0.25, 0.75, 3.0, 0.5)
        for seconds in (10, 61.3, 1000):
            steps = fitted_steps(recipe, costs, seconds)
            assert costs.of(with_steps(recipe, steps)) <= seconds < costs.of(with_steps(recipe, steps + 1))


def test_decays_of_the_step_schedule_keep_their_place(tiny):
    recipe = with_steps(tiny(optimiser={"schedule": "step", "steps": 400, "decay_steps": 100}), 40)
    assert (recipe.optimiser.steps, recipe.optimiser.decay_steps, recipe.optimiser.warmup_steps) == (40, 10, 0)
    recipe = tiny(optimiser=COSINE)
    assert with_steps(recipe, 1).optimiser.warmup_steps == 1
    assert with_steps(recipe, 400) == replace(recipe)


def test_the_command_says_how_many_steps_fit(recipe_file, images, tmp_path, clock, monkeypatch):
    monkeypatch.setattr(command, "monotonic", clock)
    words = ["run", str(recipe_file(optimiser=COSINE, run=SELDOM)), str(images), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(main, [*words, "--max-time", "2", "--fit"])
    assert result.exit_code == 0, result.output
    steps = load_checkpoint(tmp_path / "run" / "last.pt").step
    assert "tiny: a trial measures how many steps fit into 2 minutes" in result.stderr
    assert f"step 0 of {steps} fitted to 2 minutes (1 s a step, 7 s a validation), into" in result.stderr
    for wrong in ([], ["--max-time", "2", "--steps", "5"]):
        result = CliRunner().invoke(main, [*words, "--fit", *wrong])
        assert result.exit_code == 2 and "expected --max-time MINUTES and no --steps beside --fit" in result.stderr
