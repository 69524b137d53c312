"""Interrupts before a run has a step, and while it does something else than steps."""

import signal
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from pnen_train.checkpoint import load_checkpoint
from pnen_train.cli import main
from pnen_train.commands import options
from pnen_train.training import train as training
from pnen_train.training.train import Stopped, train

ENDING = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_while_training_saves_first_and_one_that_is_ignored_stays_so(tmp_path, tiny, pairs, number):
    def tell(state):
        if state.step == 1:
            signal.raise_signal(number)

    before = signal.signal(number, lambda *_: pytest.fail("the training took no notice"))
    try:
        with pytest.raises(Stopped) as stopped:
            train(tiny(), pairs[:3], pairs[3:], tmp_path, device="cpu", seen=tell)
        assert stopped.value.number == number and load_checkpoint(tmp_path / "last.pt").step == 2
        signal.signal(number, signal.SIG_IGN)
        assert train(tiny(), pairs[:3], pairs[3:], tmp_path / "ignored", device="cpu", seen=tell).step == 6
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_while_targets_are_made_keeps_the_whole_ones_alone(images, recipe_file, tmp_path, monkeypatch, number):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    @contextmanager
    def bar(title, *_):  # the signal comes once a target is there, while others are made
        yield lambda *_: signal.raise_signal(number) if title == "l0 targets" else None

    monkeypatch.setattr(options, "bar", bar)
    before = signal.signal(number, lambda *_: pytest.fail("the command took no notice"))
    words = ["run", recipe_file(), images, "--out", tmp_path / "run"]
    try:
        result = CliRunner().invoke(main, list(map(str, words)))
    finally:
        signal.signal(number, before)
    assert result.exit_code == 128 + number and result.stderr.splitlines()[-1] == "Error: interrupted"
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert kept and {path.suffix for path in kept} == {".json", ".png"} and not (tmp_path / "run" / "last.pt").exists()
    assert not [path for path in kept if path.name.startswith(".")]
    for path in kept:
        assert path.with_suffix(".json").is_file() and path.with_suffix(".png").is_file()


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
