"""The learning rate: PyTorch's plateau rule as oracle, the cosine's ends, exact state."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnen_train.config import Optimiser
from pnen_train.training.schedule import Schedule


def run(schedule, losses):
    """The rate of each step of epochs with these mean losses, until the schedule ends the run."""
    rates, step = [], 0
    for loss in losses:
        for _ in range(schedule.settings.epoch_steps):
            rates.append(schedule.rate(step))
            step += 1
            schedule.saw(loss, step)
        if schedule.finished:
            break
    return rates


@given(losses=st.lists(st.floats(0.5, 2), min_size=1, max_size=60), patience=st.integers(0, 4))
def test_plateau_rule_is_that_of_pytorch(losses, patience):
    plan = Optimiser(epoch_steps=3, patience=patience)
    adam = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=plan.learning_rate)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(
        adam, factor=0.5, patience=patience, threshold=1e-3, min_lr=plan.minimum_rate
    )
    expected = []
    for loss in losses:
        expected += [adam.param_groups[0]["lr"]] * 3
        oracle.step(loss)
    rates = run(Schedule(plan), losses)
    assert rates == pytest.approx(expected[: len(rates)])


def test_rate_is_halved_after_six_epochs_without_progress_and_the_run_ends_at_the_lowest():
    rates = run(Schedule(Optimiser(epoch_steps=10)), [1.0] * 100)
    assert [rates[10 * epoch] for epoch in (0, 6, 7, 12, 13, 18, 19, 24)] == [
        5e-4, 5e-4, 2.5e-4, 2.5e-4, 1.25e-4, 1.25e-4, 1e-4, 1e-4]  # fmt: skip
    assert len(rates) == 10 * 25  # one epoch sets the mark, then four times six


def test_falling_losses_keep_the_rate_and_the_run():
    schedule = Schedule(Optimiser(epoch_steps=2))
    assert set(run(schedule, [0.99**epoch for epoch in range(100)])) == {5e-4}
    assert not schedule.finished


@pytest.mark.parametrize("warmup", [0, 7])
def test_cosine_goes_from_the_full_rate_to_the_lowest(warmup):
    schedule = Schedule(Optimiser(schedule="cosine", steps=107, warmup_steps=warmup, minimum_rate=1e-5))
    assert schedule.rate(warmup) == pytest.approx(5e-4)
    assert schedule.rate((107 + warmup) // 2) == pytest.approx((5e-4 + 1e-5) / 2, rel=0.02)
    assert schedule.rate(107) == pytest.approx(1e-5)
    falling = [schedule.rate(step) for step in range(warmup, 108)]
    assert falling == sorted(falling, reverse=True)


def test_steps_multiply_the_rate_at_their_own_times_whatever_the_lowest_rate_of_others():
    schedule = Schedule(Optimiser(learning_rate=0.1, schedule="step", decay=0.1, decay_steps=20, minimum_rate=0.05))
    rates = [schedule.rate(step) for step in (0, 19, 20, 39, 40, 60)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 1e-3, 1e-4])
    assert set(run(schedule, [1.0] * 30)) and not schedule.finished


@pytest.mark.parametrize("kind", ["plateau", "cosine", "step"])
def test_warmup_rises_evenly(kind):
    schedule = Schedule(Optimiser(schedule=kind, warmup_steps=4, steps=10**9))
    assert [schedule.rate(step) for step in range(5)] == pytest.approx([1.25e-4, 2.5e-4, 3.75e-4, 5e-4, 5e-4])


@given(stop=st.integers(1, 200), seed=st.integers(0, 9))
def test_a_schedule_goes_on_from_its_state(stop, seed):
    plan, losses = Optimiser(epoch_steps=7, patience=1), random.Random(seed)
    whole = Schedule(plan)
    parts = Schedule(plan)
    for step in range(1, 220):
        loss = losses.random()
        whole.saw(loss, step)
        parts.saw(loss, step)
        if step == stop:
            parts = Schedule(plan, **parts.state())
        assert (parts.rate(step), parts.finished) == (whole.rate(step), whole.finished)
