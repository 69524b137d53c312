"""Checkpoints of large networks: no file over the limit, and a run that goes on from what was carried."""

import shutil

import pytest
import torch

from pnen_runtime.errors import CheckpointError
from pnen_train import checkpoint, parts
from pnen_train.checkpoint import load_checkpoint, save_checkpoint
from pnen_train.config import override, read_recipe
from pnen_train.data.batches import on_device
from pnen_train.training.state import State
from pnen_train.training.step import objective_of, train_step
from pnen_train.training.train import train

LIMIT = 70_000  # the tiny network has 55 kB of weights with their names, which its Adam holds twice


@pytest.fixture
def small_files(monkeypatch):
    monkeypatch.setattr(checkpoint, "LARGEST", LIMIT)
    monkeypatch.setattr(parts, "LARGEST", LIMIT)


@pytest.fixture
def run(small_files, tmp_path, tiny, pairs):
    """The recipe and the folder of a run of 6 steps."""
    recipe = tiny(network={"channels": 10}, optimiser={"average": 0.9})
    train(recipe, pairs[:3], pairs[3:], tmp_path / "run", device="cpu")
    return recipe, tmp_path / "run"


def test_no_file_of_a_run_is_over_the_limit_and_none_is_left_of_older_steps(run):
    files = [path for path in run[1].iterdir() if path.is_file() and not path.name.startswith("events")]
    assert len(list(run[1].glob("last.pt.*.part"))) > 1
    assert max(path.stat().st_size for path in files) <= LIMIT
    listed = torch.load(run[1] / "last.pt", weights_only=True)["resume"]["parts"]["names"]
    assert sorted(path.name for path in run[1].glob("*.part")) == sorted(listed)


def test_a_run_goes_on_from_parts_as_if_nothing_had_happened(run, tmp_path, tiny, pairs):
    recipe, folder = run
    carried = tmp_path / "carried"
    carried.mkdir()
    for path in folder.glob("last.pt*"):
        shutil.copy(path, carried)
    train(override(recipe, steps=11), pairs[:3], pairs[3:], carried, device="cpu", resume=True)
    train(override(recipe, steps=11), pairs[:3], pairs[3:], tmp_path / "whole", device="cpu")
    ours, theirs = (load_checkpoint(path / "last.pt", to_resume=True) for path in (carried, tmp_path / "whole"))
    assert ours.sha256() == theirs.sha256()
    for key, weight in theirs.resume["weights"].items():
        torch.testing.assert_close(ours.resume["weights"][key], weight, rtol=0, atol=0)


def test_the_file_alone_is_a_checkpoint_to_score_and_export_and_says_what_a_run_needs_besides(run, tmp_path, pairs):
    recipe, folder = run
    (tmp_path / "alone").mkdir()
    shutil.copy(folder / "last.pt", tmp_path / "alone")
    assert load_checkpoint(tmp_path / "alone" / "last.pt").model()(torch.rand(1, 3, 16, 16))[-1].isfinite().all()
    with pytest.raises(CheckpointError, match=r"expected last\.pt\..*\.part beside it, found none; copy all"):
        train(recipe, pairs[:3], pairs[3:], tmp_path / "alone", device="cpu", resume=True)


def test_a_torn_part_and_a_name_that_leads_elsewhere_are_refused(run, tmp_path):
    folder = run[1]
    part = next(folder.glob("*.part"))
    whole = part.read_bytes()
    part.write_bytes(whole[:-3])
    with pytest.raises(CheckpointError, match="torn or of another step"):
        load_checkpoint(folder / "last.pt", to_resume=True)
    part.write_bytes(whole)
    found = torch.load(folder / "last.pt", weights_only=True)
    for names, message in (
        ([f"../run/{part.name}"], "beside it, found none"),
        (5, "expected array, got int"),
        ([""], "expected str of length"),
    ):
        found["resume"]["parts"]["names"] = names
        torch.save(found, folder / "last.pt")
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(folder / "last.pt", to_resume=True)


def test_a_run_killed_while_it_writes_parts_goes_on_from_the_step_before(run, pairs, monkeypatch):
    recipe, folder = run

    def killed(path, data):
        raise KeyboardInterrupt

    write = checkpoint.write_bytes
    monkeypatch.setattr(checkpoint, "write_bytes", killed)  # after the parts, before the list of them
    found = load_checkpoint(folder / "last.pt", to_resume=True)
    found.resume["optimiser"]["state"][0]["step"] += 1
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save_checkpoint(folder / "last.pt", found)
    monkeypatch.setattr(checkpoint, "write_bytes", write)
    assert train(override(recipe, steps=7), pairs[:3], pairs[3:], folder, device="cpu", resume=True).step == 7
    assert len(list(folder.glob("*.part"))) == len(torch.load(folder / "last.pt")["resume"]["parts"]["names"])


@pytest.mark.parametrize("limit", [LIMIT, 20_000])  # the file itself is smaller, and larger
def test_scores_written_into_the_file_leave_its_parts(run, pairs, monkeypatch, limit):
    recipe, folder = run
    monkeypatch.setattr(checkpoint, "LARGEST", limit)
    found = load_checkpoint(folder / "last.pt")
    found.training["scores"] = {"images": 1}
    checkpoint.save_checkpoint(folder / "last.pt", found)
    assert train(override(recipe, steps=7), pairs[:3], pairs[3:], folder, device="cpu", resume=True).step == 7


def test_the_full_network_with_adam_and_averaged_weights_takes_files_of_at_most_8_mb(tmp_path, pairs):
    recipe = read_recipe("pnen-l0", ["data.crop=16", "data.batch=1", "optimiser.average=0.999"])
    cpu = torch.device("cpu")
    state = State.fresh(recipe, pairs, cpu)
    train_step(state, on_device(pairs, cpu), objective_of(state, cpu))
    save_checkpoint(tmp_path / "last.pt", state.checkpoint(resumable=True))
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert max(sizes) <= 8_000_000 and len(sizes) == 4
    again = State.resumed(tmp_path / "last.pt", recipe, pairs, cpu)
    for ours, theirs in zip(again.optimiser.state.values(), state.optimiser.state.values(), strict=True):
        torch.testing.assert_close(ours["exp_avg"], theirs["exp_avg"], rtol=0, atol=0)
