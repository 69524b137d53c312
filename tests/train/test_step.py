"""What a recipe may ask for besides the paper: averaged weights, late crops, precision, a deadline."""

import json
import logging
import time

import pytest
import torch

from pnen_runtime.errors import CheckpointError, UsageError
from pnen_train.checkpoint import load_checkpoint, save_checkpoint
from pnen_train.config import override, recipe_from
from pnen_train.data.batches import on_device
from pnen_train.device import computes_in_bf16
from pnen_train.training import step as steps
from pnen_train.training import train as training
from pnen_train.training.state import State
from pnen_train.training.step import objective_of, train_step
from pnen_train.training.train import TimeIsUp, train

CPU = torch.device("cpu")


def trained(recipe, pairs, count, watch=lambda state: None):
    state = State.fresh(recipe, pairs, CPU)
    images, objective = on_device(pairs, CPU), objective_of(state, CPU)
    for _ in range(count):
        train_step(state, images, objective)
        watch(state)
    return state


def test_averaged_weights_are_the_mean_that_their_decay_says(tiny, pairs):
    """Against the sum written out in float64; the decay begins at t / (t + 10)."""
    decay, seen = 0.6, []
    state = trained(tiny(optimiser={"average": decay}), pairs, 20,
                    lambda state: seen.append(state.model.entry.weight.detach().double().clone()))  # fmt: skip
    start = State.fresh(state.recipe, pairs, CPU).model.entry.weight.detach().double()
    expected = start
    for number, weight in enumerate(seen, 1):
        share = min(decay, number / (number + 10))
        expected = share * expected + (1 - share) * weight
    torch.testing.assert_close(state.averaged.entry.weight.double(), expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(state.averaged.entry.weight, state.model.entry.weight, atol=1e-6)
    assert state.final is state.averaged and not state.final.training


def test_a_run_with_averaged_weights_keeps_those_and_goes_on_with_its_own(tmp_path, tiny, pairs):
    recipe = tiny(optimiser={"average": 0.9, "steps": 8})
    train(override(recipe, steps=5), pairs[:3], pairs[3:], tmp_path / "parts", device="cpu")
    kept = load_checkpoint(tmp_path / "parts" / "last.pt")
    assert not torch.equal(kept.weights["entry.weight"], kept.resume["weights"]["entry.weight"])
    train(recipe, pairs[:3], pairs[3:], tmp_path / "parts", device="cpu", resume=True)
    train(recipe, pairs[:3], pairs[3:], tmp_path / "whole", device="cpu")
    ours, theirs = (load_checkpoint(tmp_path / name / "last.pt") for name in ("parts", "whole"))
    assert ours.sha256() == theirs.sha256()
    assert torch.equal(ours.resume["weights"]["entry.weight"], theirs.resume["weights"]["entry.weight"])


def test_the_last_share_of_the_steps_takes_the_late_crops(tiny, pairs, monkeypatch):
    shapes = []
    batch_of = steps.batch_of

    def watched(*args, **settings):
        batch = batch_of(*args, **settings)
        shapes.append(tuple(batch[0].shape))
        return batch

    monkeypatch.setattr(steps, "batch_of", watched)
    recipe = tiny(data={"late_share": 0.25, "late_crop": 32, "late_batch": 1}, optimiser={"steps": 8})
    trained(recipe, pairs, 8)
    assert shapes == [(2, 3, 16, 16)] * 6 + [(1, 3, 32, 32)] * 2
    assert recipe.data.largest == 32 and tiny().data.largest == 16


def test_a_run_with_late_crops_keeps_its_steps(tmp_path, tiny, pairs):
    recipe = tiny(data={"late_share": 0.5, "late_crop": 32})
    train(recipe, pairs[:3], pairs[3:], tmp_path, device="cpu")
    with pytest.raises(CheckpointError, match="the step at which crops change depends on it"):
        train(override(recipe, steps=9), pairs[:3], pairs[3:], tmp_path, device="cpu", resume=True)


@pytest.mark.parametrize("setting", [{"data": {"late_share": 1.0}}, {"optimiser": {"average": 1.0}}])
def test_shares_are_below_one(setting):
    with pytest.raises(UsageError, match=r"to be below 1, got 1\.0"):
        recipe_from({"network": {"name": "pnen"}} | setting)


@pytest.mark.parametrize(
    ("precision", "native", "bf16", "warnings"),
    [("auto", True, True, 0), ("auto", False, False, 0), ("bf16", False, True, 1), ("fp32", True, False, 0)],
)
def test_auto_takes_bfloat16_only_where_the_machine_computes_in_it(
    tiny, pairs, monkeypatch, caplog, precision, native, bf16, warnings
):
    monkeypatch.setattr(steps, "computes_in_bf16", lambda device: native)
    with caplog.at_level(logging.WARNING):
        objective = objective_of(State.fresh(tiny(run={"precision": precision}), pairs, CPU), CPU)
    assert objective.bf16 is bf16 and len(caplog.records) == warnings


def test_whether_a_cpu_computes_in_bfloat16_is_what_its_capabilities_say(monkeypatch):
    for able, expected in (({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_f": True}, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert computes_in_bf16(CPU) is expected


@pytest.mark.slow
def test_a_compiled_step_is_the_same_step(tiny, pairs):
    losses = {}
    for compiled in (False, True):
        state = State.fresh(tiny(run={"compile": compiled}), pairs, CPU)
        images, objective = on_device(pairs, CPU), objective_of(state, CPU)
        assert (objective._compiled_call_impl is not None) is compiled
        losses[compiled] = [train_step(state, images, objective)[0].item() for _ in range(4)]
    assert losses[True] == pytest.approx(losses[False], rel=1e-4)


def test_a_run_stops_at_its_deadline_and_goes_on_in_boxes_to_the_same_weights(tmp_path, tiny, pairs):
    recipe, boxes, clock = tiny(optimiser={"steps": 9}), 0, [0.0]

    def tick(*_):
        clock[0] += 1

    while boxes < 9:
        try:
            train(recipe, pairs[:3], pairs[3:], tmp_path / "boxes", device="cpu", resume=boxes > 0,
                  deadline=clock[0] + 2, watch=tick, clock=lambda: clock[0])  # fmt: skip
            break
        except TimeIsUp:
            boxes += 1
    assert boxes == 4  # of two steps each, and one step after them
    train(recipe, pairs[:3], pairs[3:], tmp_path / "whole", device="cpu")
    ours, theirs = (load_checkpoint(tmp_path / name / "last.pt") for name in ("boxes", "whole"))
    assert (ours.step, ours.sha256()) == (theirs.step, theirs.sha256())


def test_a_deadline_that_has_passed_leaves_one_step_and_a_checkpoint(tmp_path, tiny, pairs):
    with pytest.raises(TimeIsUp):
        train(tiny(), pairs[:3], pairs[3:], tmp_path, device="cpu", deadline=time.monotonic() - 1)
    assert load_checkpoint(tmp_path / "last.pt").step == 1


def test_losses_that_are_read_seldom_as_on_a_gpu_change_nothing(tmp_path, tiny, pairs, monkeypatch):
    plateau = {"steps": 400, "epoch_steps": 7, "patience": 1, "minimum_rate": 5e-4}
    recipe, seen, reads = tiny(optimiser=plateau, run={"evaluate_every": 40, "checkpoint_every": 60}), {}, {}
    take_in = training.take_in

    def counted(*args):
        reads[often] += 1
        take_in(*args)

    monkeypatch.setattr(training, "take_in", counted)
    for often in (1, 20):
        monkeypatch.setattr(training, "READ_EVERY", {"cpu": often})
        folder, seen[often], reads[often] = tmp_path / str(often), [], 0
        train(recipe, pairs[:3], pairs[3:], folder, device="cpu",
              watch=lambda step, loss, _psnr, often=often: seen[often].append((step, loss)))  # fmt: skip
    end = len(seen[1])  # by the plateau rule, before the last step
    assert [step for step, _ in seen[20]] == list(range(1, end + 1)) and seen[20] == seen[1]
    assert end < 400 and reads[1] == end and reads[20] < end / 3
    assert load_checkpoint(tmp_path / "20" / "last.pt").sha256() == load_checkpoint(tmp_path / "1" / "last.pt").sha256()
    rows = [[json.loads(line) | {"seconds": 0} for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
            for name in ("1", "20")]  # fmt: skip
    assert rows[0] == rows[1] and rows[0][-1]["step"] == end


def test_a_crop_larger_than_a_picture_is_told_before_the_first_step(tmp_path, tiny, pairs):
    recipe = tiny(data={"late_share": 0.1, "late_crop": 41})
    with pytest.raises(UsageError, match="at least 41 pixels a side, as large as a crop, got one of 40"):
        train(recipe, pairs[:3], pairs[3:], tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_run_that_goes_on_in_another_precision_says_so(tmp_path, tiny, pairs, monkeypatch, caplog):
    recipe = tiny(run={"precision": "auto"})
    for native in (False, True):
        monkeypatch.setattr(steps, "computes_in_bf16", lambda device, native=native: native)
        train(override(recipe, steps=3 + 3 * native), pairs[:3], pairs[3:], tmp_path, device="cpu", resume=native)
        assert load_checkpoint(tmp_path / "last.pt").training["precision"] == ("bf16" if native else "fp32")
    assert "trained in fp32 so far, on this machine in bf16" in caplog.text


@pytest.mark.parametrize("damage", ["schedule", "best", "optimiser", "recipe"])
def test_a_checkpoint_with_a_damaged_state_is_one_line(tmp_path, tiny, pairs, damage):
    train(tiny(), pairs[:3], pairs[3:], tmp_path, device="cpu")
    found = load_checkpoint(tmp_path / "last.pt")
    found.resume[damage] = {"nonsense": 1}
    save_checkpoint(tmp_path / "last.pt", found)
    with pytest.raises(
        CheckpointError, match=r"last\.pt: expected (the (state|recipe) of a run|a PNEN checkpoint.*got resume\.)"
    ) as error:
        train(override(tiny(), steps=9), pairs[:3], pairs[3:], tmp_path, device="cpu", resume=True)
    assert "\n" not in str(error.value)
