"""Checkpoints: what is saved comes back, and nothing else is taken or run."""

import os
import pickle
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pnen_runtime.errors import CheckpointError, UsageError
from pnen_train import checkpoint
from pnen_train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pnen_train.training.state import build_network

GOOD = {"format": 1, "network": "pnen", "config": {}, "weights": {}, "step": 1, "training": {}}


@pytest.fixture
def saved(tmp_path, tiny):
    """A checkpoint with random weights, and its file."""
    torch.manual_seed(1)
    model = build_network(tiny(network={"init": "he"}))
    found = Checkpoint.of("pnen", model, step=7, training={"task": {"filter": "l0"}}, resume={"best": 3.5})
    path = tmp_path / "model.pt"
    save_checkpoint(path, found)
    return found, path


def test_a_checkpoint_comes_back_as_it_was(saved):
    found, path = saved
    again = load_checkpoint(path)
    for name in ("network", "config", "step", "training", "resume"):
        assert getattr(again, name) == getattr(found, name)
    x = torch.rand(1, 3, 20, 28)
    with torch.inference_mode():
        torch.testing.assert_close(again.model()(x)[-1], found.model()(x)[-1], rtol=0, atol=0)
    assert not again.model().training


def test_the_file_is_a_plain_dictionary_that_loads_with_weights_only(saved):
    found = torch.load(saved[1], weights_only=True)
    assert found["format"] == 1 and set(found) == {
        "format", "network", "config", "weights", "step", "training", "resume"}  # fmt: skip


def test_a_lean_checkpoint_has_no_resume_state(saved, tmp_path):
    found, _ = saved
    found.resume = None
    save_checkpoint(tmp_path / "lean.pt", found)
    assert "resume" not in torch.load(tmp_path / "lean.pt", weights_only=True)
    assert load_checkpoint(tmp_path / "lean.pt").resume is None


def test_sha256_is_of_the_weights_and_not_of_how_they_lie_in_memory(saved):
    found, path = saved
    digest = found.sha256()
    again = load_checkpoint(path)
    again.weights = {key: weight.clone() for key, weight in reversed(again.weights.items())}
    again.weights["entry.weight"] = again.weights["entry.weight"].contiguous(memory_format=torch.channels_last)
    assert again.sha256() == digest
    again.weights["entry.bias"][0] += 1
    assert again.sha256() != digest


class Hostile:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("writer", [torch.save, lambda found, path: path.write_bytes(pickle.dumps(found, protocol=2))])
def test_a_hostile_pickle_is_refused_without_being_run(tmp_path, writer):
    path, proof = tmp_path / "evil.pt", tmp_path / "was-run"
    writer({"format": 1, "weights": Hostile(f"touch {proof}")}, path)
    with pytest.raises(CheckpointError, match=r"evil\.pt: expected a PNEN checkpoint .* holds code .which was not run"):
        load_checkpoint(path)
    assert not proof.exists()
    with suppress(RuntimeError):  # of the bare pickle, after it ran
        torch.load(path, weights_only=False)
    assert proof.exists()  # the file did hold something to run


@given(cut=st.floats(0, 0.999), noise=st.binary(max_size=8))
@settings(max_examples=25)
def test_a_torn_file_is_refused(tmp_path_factory, cut, noise):
    path = tmp_path_factory.mktemp("torn") / "model.pt"
    save_checkpoint(path, Checkpoint("pnen", {}, {"weight": torch.rand(40, 40)}))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(cut * len(whole))] + noise)
    with pytest.raises(CheckpointError, match="something else, a torn file"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"entry.weight": torch.ones(2)}, "got a bare state dict, which names no network"),
        ([1, 2], "got list"),
        (torch.ones(3), "got Tensor"),
        ({"format": 2}, "another format than 1"),
        ({"format": 1, "network": "pnen"}, "got object missing required field config"),
        (GOOD | {"network": 3}, "got network = 3: expected str, got int"),
        (GOOD | {"weights": {"a": 1}}, "not all tensors"),
        (GOOD | {"resume": 1}, "got resume = 1: expected object, got int"),
        (GOOD | {"step": "7"}, "got step = '7': expected int, got str"),
    ],
)  # fmt: skip
def test_other_contents_are_refused_with_what_they_are(tmp_path, found, message):
    path = tmp_path / "other.pt"
    torch.save(found, path)
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


def test_weights_of_another_network_are_refused_with_the_first_difference(saved):
    found, _ = saved
    found.config["channels"] = 12
    with pytest.raises(CheckpointError, match=r"do not fit network pnen: .*size mismatch for entry.weight") as error:
        found.model()
    assert len(str(error.value)) < 300 and "\n" not in str(error.value)
    found.config["colour"] = 1
    with pytest.raises(CheckpointError, match='unknown setting "colour"'):
        found.model()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(saved, value):
    found, _ = saved
    found.weights["entry.bias"][0] = value
    with pytest.raises(CheckpointError, match="not finite"):
        found.model()


def test_a_bundled_model_is_found_by_name_and_a_file_goes_first(saved, tmp_path, monkeypatch):
    _, path = saved
    bundled, here = tmp_path / "bundled", tmp_path / "here"
    bundled.mkdir()
    here.mkdir()
    path.rename(bundled / "l0.pt")
    monkeypatch.setattr(checkpoint, "BUNDLED", bundled)
    monkeypatch.chdir(here)
    assert load_checkpoint("l0").step == 7
    (here / "l0").write_bytes(b"mine")
    with pytest.raises(CheckpointError, match="torn file"):
        load_checkpoint("l0")
    with pytest.raises(UsageError, match=r"l1: no such checkpoint, and none of the bundled ones \(l0\)"):
        load_checkpoint("l1")


def test_a_file_that_may_not_be_read_is_an_os_error(saved, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError):
        load_checkpoint(saved[1])


@pytest.mark.skipif(os.name != "posix", reason="modes as POSIX has them")
def test_a_checkpoint_that_is_replaced_keeps_its_mode(saved):
    found, path = saved
    path.chmod(0o600)
    save_checkpoint(path, found)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["entry.weight", "dilated.0.0.body.1.running_mean"])
def test_weights_of_whole_numbers_are_refused(saved, name):
    found, _ = saved
    found.weights[name] = found.weights[name].to(torch.int64)
    with pytest.raises(CheckpointError, match="the weights do not fit network pnen: "):
        found.model()
