"""Checkpoints and recipes that are odd by slip or by malice: one line, soon, and within memory."""

import zipfile

import pytest
import torch
from click.testing import CliRunner

from pnen_runtime.errors import CheckpointError, UsageError
from pnen_train.checkpoint import load_checkpoint
from pnen_train.cli import main
from pnen_train.config import read_recipe
from pnen_train.models import build
from pnen_train.models.pnen import PNEN, PNENConfig

GOOD = {"format": 1, "network": "pnen", "config": {}, "weights": {}, "step": 1, "training": {}}


def shared_lists():
    inner = [0]
    for _ in range(40):
        inner = [inner, inner]
    return inner


def endless():
    found = {}
    found["itself"] = found
    return found


WEIGHTS = {
    "complex": torch.zeros(2, dtype=torch.complex64),
    "meta": torch.zeros(2, device="meta"),
    "sparse": torch.zeros(2, 2).to_sparse(),
    "stride 0": torch.zeros(1).expand(6000, 6000, 3, 3),
    "overlapping": torch.zeros(1000).as_strided((90, 90), (1, 1)),
    "bool": torch.zeros(2, dtype=torch.bool),
    "text": "weights",
}
CHANGES = {
    **{f"weights {name}": {"weights": {"entry.weight": weight}} for name, weight in WEIGHTS.items()},
    "a weight without a name": {"weights": {3: torch.zeros(1)}},
    "a step of -5": {"step": -5},
    "a step of true": {"step": True},
    "a step without end": {"step": 10**30},
    "a text as task": {"training": {"task": "l0"}},
    "a list as task": {"training": {"task": ["l0"]}},
    "a text as crop": {"training": {"crop": "96"}},
    "no tile": {"training": {"tile": 0}},
    "tiles without end": {"training": {"tile": 10**9}},
    "a record that holds itself": {"training": endless()},
    "shared lists": {"training": {"a": shared_lists()}},
    "a million scales": {"config": {"scales": [2] * 1_000_001}},
    "parts without names": {"resume": {"parts": {"sha256": "0" * 64}}},
    "parts without a digest": {"resume": {"parts": {"names": ["a"]}}},
    "a part without a name": {"resume": {"parts": {"names": [""], "sha256": "0" * 64}}},
    "seconds of text": {"resume": {"seconds": "long"}},
    "errors of text": {"resume": {"errors": "many"}},
    "a schedule of text": {"resume": {"schedule": {"factor": "half"}}},
    "a set": {"training": {"a": {1, 2}}},
    "a network of numbers": {"network": 3},
}


def save(path, changes, **settings):
    torch.save(GOOD | changes, path, **settings)
    return path


@pytest.mark.parametrize("name", CHANGES)
def test_a_checkpoint_that_is_odd_is_refused_in_one_line(tmp_path, name):
    path = save(tmp_path / "odd.pt", CHANGES[name])
    with pytest.raises(CheckpointError, match=r"odd\.pt: expected a PNEN checkpoint") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_checkpoint_that_grows_when_it_is_opened_is_not_opened(tmp_path, monkeypatch):
    path = save(tmp_path / "plain.pt", {"weights": {"a": torch.zeros(4_000_000)}})
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(CheckpointError, match=r"bomb\.pt"):
        load_checkpoint(tmp_path / "bomb.pt")


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"\x80\2.", bytes(1000)])
def test_what_is_no_zip_file_is_not_given_to_torch(tmp_path, monkeypatch, data):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    (tmp_path / "odd.pt").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"odd\.pt"):
        load_checkpoint(tmp_path / "odd.pt")


@pytest.mark.parametrize(("network", "settings"), [
    ("pnen", {"scales": 8}), ("pnen", {"scales": [2] * 65}), ("pnen", {"scales": [10**9]}), ("pnen", {"dilations": 1}),
    ("pnen", {"channels": 100_000}), ("pnen", {"channels": 10**30}), ("pnen", {"channels": 20_000}),
    ("pnen", {"channels": [64]}), ("pnen", {"scales": [[2]]}), ("pnen", {"scales": {"a": 2}}), ("pnen", {"init": 3}),
    ("rdn", {"blocks": 64, "dense_layers": 64, "channels": 512}), ("memnet", {"channels": 65536}),
    ("resnet", {"tail_channels": 65536, "channels": 65536}), ("djf", {"channels": 65536, "fused_channels": 65536}),
])  # fmt: skip
def test_settings_that_make_no_network_are_wrong_usage_and_take_no_memory(network, settings):
    with pytest.raises(UsageError, match=f"network {network}: expected"):
        build(network, settings)


def test_looking_at_the_size_first_changes_no_weights():
    settings = {"channels": 8, "stages": 1, "init": "he"}
    torch.manual_seed(3)
    at_once = PNEN(PNENConfig(**settings)).entry.weight
    torch.manual_seed(3)
    assert torch.equal(build("pnen", settings).entry.weight, at_once)


TOML = {
    "deep lists": "[network]\nname = 'pnen'\nscales = " + "[" * 3000 + "]" * 3000,
    "a number of 5,000 digits": "[run]\nseed = " + "1" * 5000,
    "a number of 5,000 hexadecimal digits": "[run]\nseed = 0x" + "f" * 5000,
    "a date": "[network]\nname = 'pnen'\nchannels = 2020-01-01",
    "a time": "[target]\nfilter = 07:32:00",
    "no text": b"\xff\xfe",
    "a number for a list": "[network]\nname = 'pnen'\nscales = 8",
}


@pytest.mark.parametrize("name", TOML)
def test_a_recipe_that_is_odd_is_wrong_usage(tmp_path, name):
    path, text = tmp_path / "odd.toml", TOML[name]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "images").mkdir()
    result = CliRunner().invoke(main, ["run", str(path), str(tmp_path / "images"), "--dry-run"])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1 and "unexpected" not in result.stderr


@pytest.mark.parametrize("change", [
    "network.scales=8", "network.scales=" + "[" * 3000, "run.seed=" + "1" * 5000, "network.channels=2020-01-01",
    "network.channels=100000", "optimiser.learning_rate=" + "9" * 400, "target.strength=" + "9" * 400, "run.seed=1e400",
    "target.strength=[0.02]", "network.name=[1]", "data.crop=0x" + "f" * 4000,
])  # fmt: skip
def test_a_change_that_is_odd_is_wrong_usage(tmp_path, change):
    words = ["run", "pnen-l0-small", str(tmp_path), "--dry-run", "--set", change]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and result.stderr.count("\n") == 1 and "unexpected" not in result.stderr, result.stderr


def test_the_recipes_of_the_package_are_still_taken():
    for name in ("pnen-l0", "rdn", "memnet-deeper", "ceilnet", "resnet", "djf"):
        assert read_recipe(name).network["name"]
