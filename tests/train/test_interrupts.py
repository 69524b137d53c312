"""Interrupts before a run has a step, and while it does something else than steps."""

import signal

import pytest

from pnen_train import train as training
from pnen_train.checkpoint import load_checkpoint
from pnen_train.train import Stopped, train


@pytest.mark.parametrize("moment", ["begin", "first step", "first validation"])
def test_an_interrupt_at_any_moment_leaves_a_run_that_goes_on_exactly(tmp_path, tiny, pairs, monkeypatch, moment):
    def interrupting(work):
        def once(*given):
            monkeypatch.undo()
            signal.raise_signal(signal.SIGINT)
            return work(*given)

        return once

    recipe, options = tiny(optimiser={"steps": 12}), {}
    if moment == "begin":
        options["begin"] = interrupting(lambda _state: None)
    else:
        name = {"first step": "train_step", "first validation": "validate"}[moment]
        monkeypatch.setattr(training, name, interrupting(getattr(training, name)))
    with pytest.raises(Stopped):
        train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu", **options)
    stopped = {"begin": 0, "first step": 1, "first validation": 5}[moment]
    assert load_checkpoint(tmp_path / "last.pt").step == stopped
    train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu", resume=True)
    train(recipe, pairs[:3], pairs[3:], tmp_path / "whole", device="cpu")
    for name in ("last.pt", "best.pt"):
        ours, theirs = (load_checkpoint(folder / name) for folder in (tmp_path, tmp_path / "whole"))
        assert (ours.step, ours.sha256()) == (theirs.step, theirs.sha256())
