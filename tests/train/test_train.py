"""Training: exact, resumable, and its run folder never half written."""

import errno
import json
import signal
import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pnen_runtime.errors import CheckpointError, PnenError
from pnen_train.checkpoint import load_checkpoint, save_checkpoint
from pnen_train.config import override
from pnen_train.evaluation.evaluate import evaluate, network_smoother
from pnen_train.training import train as training
from pnen_train.training.train import Stopped, train


def weights(path):
    return load_checkpoint(path).sha256()


def rows(folder):
    """The metrics without their times."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in found]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny, pairs):
    """The folder of an uninterrupted run of twelve steps."""
    folder = tmp_path_factory.mktemp("whole")
    train(tiny(optimiser={"steps": 12}), pairs[:3], pairs[3:], folder, device="cpu")
    return folder


def test_a_run_folder_has_everything(whole, tiny, pairs):
    last, best = load_checkpoint(whole / "last.pt"), load_checkpoint(whole / "best.pt")
    assert last.step == 12 and last.resume is not None and best.resume is None
    record = last.training
    assert record["task"] == {"filter": "l0", "strength": 0.02, "kappa": 2.0}
    assert (record["crop"], record["tile"], record["tile_step"], record["device"]) == (16, 32, 24, "cpu")
    assert record["recipe"]["optimiser"]["steps"] == 12 and record["torch"] == torch.__version__
    assert json.loads((whole / "recipe.json").read_text())["optimiser"]["steps"] == 12
    assert [row["step"] for row in rows(whole)] == [4, 8, 12]
    assert set(rows(whole)[0]) == {"step", "loss", "train_psnr", "rate", "psnr", "ssim"}
    assert sorted(path.name for path in (whole / "pictures").iterdir()) == [f"{s:07}.png" for s in (4, 8, 12)]
    assert not list(whole.glob(".*"))


def test_the_picture_shows_input_output_and_target(whole, pairs):
    image, target = pairs[3]
    picture = np.asarray(Image.open(whole / "pictures" / "0000012.png"))
    smooth = network_smoother(load_checkpoint(whole / "last.pt").model(), 32, 24, border="wrap")
    np.testing.assert_array_equal(picture, np.concatenate([image, smooth(image), target], 1))


def test_the_best_checkpoint_is_that_of_the_best_row_and_scores_as_it_says(whole, pairs):
    best = load_checkpoint(whole / "best.pt")
    row = max(rows(whole), key=lambda row: row["psnr"])
    assert best.step == row["step"]
    scores = evaluate(network_smoother(best.model(), 32, 24, border="wrap"), pairs[3:])
    assert scores.psnr == pytest.approx(row["psnr"], abs=1e-6)
    assert best.training["validation"]["psnr"] == row["psnr"] and "scores" not in best.training


def test_tensorboard_reads_curves_and_pictures(whole):
    events = EventAccumulator(str(whole)).Reload()
    for name in ("loss", "train_psnr", "rate", "psnr", "ssim", "seconds"):
        assert [event.step for event in events.Scalars(name)] == [4, 8, 12]
    assert [event.value for event in events.Scalars("psnr")] == pytest.approx([row["psnr"] for row in rows(whole)])
    assert len(events.Images("input, output, target")) > 0


def test_every_50_steps_a_row_has_the_mean_loss_and_error_since_the_row_before(tmp_path, tiny, pairs):
    seen, interrupting = [], False

    def watch(step, loss, psnr):
        seen.append((loss, 10 ** (-psnr / 10)))
        if step == 70 and interrupting:
            signal.raise_signal(signal.SIGINT)

    recipe = tiny(optimiser={"steps": 120}, run={"evaluate_every": 80, "checkpoint_every": 999})
    for folder, interrupting in (("whole", False), ("parts", True), ("parts", False)):
        resume, going = (tmp_path / folder).is_dir(), pytest.raises(Stopped) if interrupting else nullcontext()
        with going:
            train(recipe, pairs[:3], pairs[3:], tmp_path / folder, device="cpu", resume=resume, watch=watch)
    found = rows(tmp_path / "whole")
    assert rows(tmp_path / "parts") == found
    assert [(row["step"], "psnr" in row) for row in found] == [(50, False), (80, True), (100, False), (120, True)]
    begins = 0
    for row in found:
        loss, error = np.mean(seen[:120][begins : row["step"]], axis=0)
        assert row["loss"] == pytest.approx(loss) and row["train_psnr"] == pytest.approx(-10 * np.log10(error))
        begins = row["step"]
    events = EventAccumulator(str(tmp_path / "whole")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (row["step"], pytest.approx(row["loss"])) for row in found]  # fmt: skip
    assert [event.step for event in events.Scalars("psnr")] == [80, 120]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(whole, tmp_path, tiny, pairs):
    for name, seed in (("same", 0), ("other", 1)):
        train(tiny(optimiser={"steps": 12}, run={"seed": seed}), pairs[:3], pairs[3:], tmp_path / name, device="cpu")
    assert weights(tmp_path / "same" / "last.pt") == weights(whole / "last.pt")
    assert weights(tmp_path / "other" / "last.pt") != weights(whole / "last.pt")


@pytest.mark.parametrize("stop", [1, 4, 7, 11])
def test_an_interrupt_saves_at_the_end_of_its_step_and_the_run_goes_on_exactly(whole, tmp_path, tiny, pairs, stop):
    def interrupt(step, _loss, _psnr):
        if step == stop:
            signal.raise_signal(signal.SIGINT)

    recipe = tiny(optimiser={"steps": 12})
    with pytest.raises(Stopped):
        train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu", watch=interrupt)
    assert load_checkpoint(tmp_path / "last.pt").step == stop
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu", resume=True)
    assert weights(tmp_path / "last.pt") == weights(whole / "last.pt")
    assert weights(tmp_path / "best.pt") == weights(whole / "best.pt")
    assert rows(tmp_path) == rows(whole)


def test_a_second_interrupt_does_not_wait_and_is_not_taken_for_a_saved_stop(tmp_path, tiny, pairs):
    def impatient(*_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stopped:
        train(tiny(), pairs[:3], pairs[3:], tmp_path, device="cpu", watch=impatient)
    assert stopped.type is KeyboardInterrupt


def test_a_crash_between_checkpoints_leaves_no_trace_after_resuming(whole, tmp_path, tiny, pairs):
    def crash(step, _scores, _rate):
        if step == 8:
            raise RuntimeError("power cut")

    recipe = tiny(optimiser={"steps": 12})
    with pytest.raises(RuntimeError):
        train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu", report=crash)
    assert load_checkpoint(tmp_path / "last.pt").step == 6 and rows(tmp_path)[-1]["step"] == 8
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    for half_written in (".last.0badcafe.tmp.pt", f"pictures/.{'0' * 16}.tmp.png"):
        (tmp_path / half_written).write_bytes(b"half")
    train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu", resume=True)
    assert weights(tmp_path / "last.pt") == weights(whole / "last.pt")
    assert rows(tmp_path) == rows(whole)
    assert not list(tmp_path.rglob(".*"))
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("psnr")] == [4, 8, 12]


def test_a_finished_run_goes_on_with_more_steps_as_if_they_had_been_planned(tmp_path, tiny, pairs):
    recipe = tiny(optimiser={"steps": 8})
    train(recipe, pairs[:3], pairs[3:], tmp_path / "more", device="cpu")
    train(override(recipe, steps=12), pairs[:3], pairs[3:], tmp_path / "more", device="cpu", resume=True)
    train(override(recipe, steps=12), pairs[:3], pairs[3:], tmp_path / "at once", device="cpu")
    assert weights(tmp_path / "more" / "last.pt") == weights(tmp_path / "at once" / "last.pt")
    assert rows(tmp_path / "more") == rows(tmp_path / "at once")


def test_resuming_a_finished_run_changes_nothing(whole, tiny, pairs):
    before = weights(whole / "last.pt"), rows(whole)
    train(tiny(optimiser={"steps": 12}), pairs[:3], pairs[3:], whole, device="cpu", resume=True)
    assert (weights(whole / "last.pt"), rows(whole)) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"batch": 3}}, "data.batch is 2, got 3"),
        ({"optimiser": {"learning_rate": 5e-4}}, "optimiser.learning_rate is 0.001, got 0.0005"),
        ({"network": {"channels": 6}}, "network.channels is 8, got 6"),
        ({"target": {"strength": 0.05}}, "target.strength is 0.02, got 0.05"),
        ({"run": {"seed": 5}}, "run.seed is 0, got 5"),
    ],
)
def test_resuming_with_another_recipe_is_refused_and_says_where_it_differs(whole, tiny, pairs, changes, message):
    before = {path: path.read_bytes() for path in whole.glob("*.*")}
    with pytest.raises(CheckpointError, match=message):
        train(tiny(**changes), pairs[:3], pairs[3:], whole, device="cpu", resume=True)
    assert {path: path.read_bytes() for path in whole.glob("*.*")} == before


def test_a_default_written_into_the_recipe_is_no_difference(whole, tiny, pairs):
    before = weights(whole / "last.pt")
    last = train(tiny(target={"strength": 0.02}), pairs[:3], pairs[3:], whole, device="cpu", resume=True)
    assert (last.step, last.sha256(), weights(whole / "last.pt")) == (12, before, before)


def test_the_cosine_schedule_keeps_its_steps(tmp_path, tiny, pairs):
    recipe = tiny(optimiser={"schedule": "cosine"})
    train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu")
    with pytest.raises(CheckpointError, match=r"expected --steps 6, as the run began, got 9: every rate of the cosine"):
        train(override(recipe, steps=9), pairs[:3], pairs[3:], tmp_path, device="cpu", resume=True)
    train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu", resume=True)


def test_resuming_with_other_threads_is_warned_of_and_an_old_checkpoint_goes_on(tmp_path, tiny, pairs, caplog):
    train(tiny(), pairs[:3], pairs[3:], tmp_path, device="cpu")
    found = load_checkpoint(tmp_path / "last.pt")
    for threads, warnings in ((1, 0), (None, 0), (3, 1)):
        found.resume["threads"] = threads
        if threads is None:  # as before threads, and validation scores under their own name
            del found.resume["threads"]
            found.training["scores"] = found.training.pop("validation")
        save_checkpoint(tmp_path / "last.pt", found)
        last = train(tiny(optimiser={"steps": 7}), pairs[:3], pairs[3:], tmp_path, device="cpu", resume=True)
        assert "validation" in last.training and "scores" not in last.training
        assert len(caplog.records) == warnings
    assert "trained with --threads 3 so far, now with 1" in caplog.text


def test_resuming_with_other_images_or_from_a_lean_checkpoint_is_refused(whole, tmp_path, tiny, pairs):
    with pytest.raises(CheckpointError, match="the images and targets that the run began with"):
        train(tiny(), pairs[:2], pairs[3:], whole, device="cpu", resume=True)
    save_checkpoint(tmp_path / "last.pt", load_checkpoint(whole / "best.pt"))
    with pytest.raises(CheckpointError, match="without that state"):
        train(tiny(), pairs[:3], pairs[3:], tmp_path, device="cpu", resume=True)


@pytest.mark.parametrize("fails", [0, 1, 2, 5])
def test_a_full_disk_is_named_and_leaves_the_last_checkpoint(tmp_path, tiny, pairs, monkeypatch, fails):
    saved = []

    def save(path, checkpoint):
        if len(saved) == fails:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(path.name)
        save_checkpoint(path, checkpoint)

    monkeypatch.setattr(training, "save_checkpoint", save)
    with pytest.raises(OSError, match="No space left") as error:
        train(tiny(optimiser={"steps": 12}), pairs[:3], pairs[3:], tmp_path, device="cpu")
    assert error.value.filename == str(tmp_path)
    if fails:
        load_checkpoint(tmp_path / "last.pt").model()


def test_a_plateau_ends_the_run_with_its_scores(tmp_path, tiny, pairs):
    recipe = tiny(optimiser={"steps": 500, "epoch_steps": 1, "patience": 1, "minimum_rate": 1e-3})
    last = train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu")
    assert last.step < 500
    assert rows(tmp_path)[-1]["step"] == last.step == load_checkpoint(tmp_path / "last.pt").step


def test_a_loss_that_is_not_finite_ends_the_run_before_it_reaches_the_weights(tmp_path, tiny, pairs):
    recipe = tiny(optimiser={"steps": 50, "learning_rate": 1e30}, run={"checkpoint_every": 1, "evaluate_every": 99})
    with pytest.raises(PnenError, match="the loss is not finite at step"):
        train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu")
    assert load_checkpoint(tmp_path / "last.pt").step >= 1


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_training_in_bfloat16_learns_and_keeps_its_weights_in_fp32(tmp_path, tiny, pairs, schedule):
    recipe = tiny(optimiser={"steps": 6, "schedule": schedule}, run={"precision": "bf16"})
    last = train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu")
    assert {weight.dtype for weight in last.weights.values()} == {torch.float32, torch.int64}
    assert np.isfinite([row["loss"] for row in rows(tmp_path)]).all()


def test_training_brings_a_network_from_the_identity_towards_the_filter(tmp_path, tiny, pairs):
    losses = []
    recipe = tiny(optimiser={"steps": 60, "learning_rate": 3e-3}, run={"evaluate_every": 99, "checkpoint_every": 99})
    train(recipe, pairs[:1], pairs[:1], tmp_path, device="cpu", watch=lambda _step, loss, _psnr: losses.append(loss))
    assert np.mean(losses[-15:]) < 0.8 * np.mean(losses[:15])


def test_training_runs_outside_the_main_thread_where_signals_cannot_be_held(tmp_path, tiny, pairs):
    work = threading.Thread(target=lambda: train(tiny(), pairs[:3], pairs[3:], tmp_path, device="cpu"))
    work.start()
    work.join()
    assert load_checkpoint(tmp_path / "last.pt").step == 6


def test_a_fresh_run_forgets_the_best_of_one_that_never_saved(tmp_path, tiny, pairs):
    (tmp_path / "best.pt").write_bytes(b"of another recipe")
    (tmp_path / "metrics.jsonl").write_text('{"step": 3}\n')
    train(tiny(optimiser={"steps": 1}), pairs[:3], pairs[3:], tmp_path, device="cpu")
    assert load_checkpoint(tmp_path / "best.pt").step == 1
    assert [row["step"] for row in rows(tmp_path)] == [1]
