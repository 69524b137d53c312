"""Training on every task, and runs that older versions began."""

import json
import signal

import pytest
import torch
from PIL import Image

from pnen_train.checkpoint import load_checkpoint, save_checkpoint
from pnen_train.data.targets import find_images
from pnen_train.data.tasks import task_of
from pnen_train.training import train as training
from pnen_train.training.train import Stopped, train


def weights(path):
    return load_checkpoint(path).sha256()


def rows(folder):
    """The metrics without their times."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in found]


@pytest.mark.parametrize(
    ("target", "optimiser"),
    [
        ({"noise": 25}, {"schedule": "step", "decay_steps": 4}),
        (
            {"scale": 3},
            {"method": "sgd", "schedule": "step", "decay_steps": 4, "clip_step": 0.01, "mean_of_exits": True},
        ),
    ],
)
def test_every_task_goes_on_exactly_after_an_interrupt(tmp_path, tiny, images, target, optimiser):
    def interrupt(step, *_):
        if step == 5:
            signal.raise_signal(signal.SIGINT)

    paths, task = find_images([images]), task_of(target)
    training, scored = task.training(paths[:3], 16, None), task.scored(paths[3:], 16, None)
    recipe = tiny(target=target, optimiser={"steps": 9} | optimiser, run={"tile": "whole"})
    train(recipe, training, scored, tmp_path / "whole", device="cpu")
    with pytest.raises(Stopped):
        train(recipe, training, scored, tmp_path / "parts", device="cpu", watch=interrupt)
    train(recipe, training, scored, tmp_path / "parts", device="cpu", resume=True)
    for name in ("last.pt", "best.pt"):
        assert weights(tmp_path / "parts" / name) == weights(tmp_path / "whole" / name)
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    record = load_checkpoint(tmp_path / "whole" / "last.pt").training
    assert record["task"] == target and "psnr_floor" in record["validation"]
    assert Image.open(tmp_path / "whole" / "pictures" / "0000009.png").mode == "L"


def test_a_run_of_an_older_version_goes_on(tmp_path, tiny, pairs):
    train(tiny(), pairs[:3], pairs[3:], tmp_path, device="cpu")
    found = load_checkpoint(tmp_path / "last.pt")
    recipe = json.loads(found.resume["recipe"])
    recipe["target"] = {"filter": "l0", "settings": {"strength": 0.02}}
    for setting in (
        "method",
        "decay",
        "decay_steps",
        "weight_decay",
        "clip_norm",
        "clip_step",
        "loss",
        "mean_of_exits",
    ):
        del recipe["optimiser"][setting]
    found.resume["recipe"] = json.dumps(recipe)
    save_checkpoint(tmp_path / "last.pt", found)
    assert train(tiny(optimiser={"steps": 7}), pairs[:3], pairs[3:], tmp_path, device="cpu", resume=True).step == 7


def test_the_rate_counts_the_time_of_training_alone(tmp_path, tiny, pairs, monkeypatch):
    clock, rates = [0.0], []

    def step(state, *_):
        clock[0] += 2
        state.step += 1
        return torch.tensor(1.0), torch.tensor(0.1)

    def slow_validation(*args):
        clock[0] += 100
        return validate(*args)

    validate = training.validate
    monkeypatch.setattr(training, "train_step", step)
    monkeypatch.setattr(training, "validate", slow_validation)
    train(tiny(), pairs[:3], pairs[3:], tmp_path, device="cpu", clock=lambda: clock[0],
          report=lambda _step, _scores, rate: rates.append(rate))  # fmt: skip
    assert rates == [0.5, 0.5]
