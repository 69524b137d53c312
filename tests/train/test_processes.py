"""Two processes that share every batch end where one process with the whole batch does."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from pnen_runtime.errors import UsageError
from pnen_train.checkpoint import load_checkpoint
from pnen_train.data.batches import batch_of, on_device
from pnen_train.data.noise import Noise
from pnen_train.training.processes import Processes

CPU = torch.device("cpu")
PLAN = {"data": {"batch": 4}, "optimiser": {"steps": 12, "average": 0.9, "clip_norm": 0.5, "learning_rate": 3e-4}}


def start(recipe, images, out, *options, processes=2):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), "-m", "pnen_train.cli", "run"]
    command += [str(recipe), str(images), "--out", str(out), "--device", "cpu", "--threads", "1", *map(str, options)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stderr


def rows(out):
    found = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in found]


@pytest.mark.slow
def test_two_processes_give_the_run_of_one_also_over_a_stop_and_only_the_first_speaks_and_writes(
    recipe_file, images, tmp_path
):
    recipe, alone, out = recipe_file(**PLAN), tmp_path / "alone", tmp_path / "two"
    for folder, *options in ((alone, 1, 12), (out, 2, 8), (out, 2, 12, "--resume")):
        processes, steps, *resume = options
        code, log = start(recipe, images, folder, "--steps", steps, *resume, processes=processes)
        assert code == 0, log
    assert log.count("cpu and 1 more, step 8 of 12") == log.count("written: ") == 1
    for name in ("last.pt", "best.pt"):
        ours, theirs = (load_checkpoint(folder / name) for folder in (out, alone))
        assert ours.step == theirs.step and ours.weights.keys() == theirs.weights.keys()
        for key, weight in theirs.weights.items():
            torch.testing.assert_close(ours.weights[key], weight, rtol=1e-5, atol=1e-5, msg=key)
    found, expected = (rows(folder) for folder in (out, alone))
    assert [row["step"] for row in found] == [4, 8, 12]
    for row, wanted in zip(found, expected, strict=True):
        assert row == pytest.approx(wanted, rel=1e-4)
    assert load_checkpoint(out / "last.pt").training["processes"] == 2


def test_the_shares_of_all_processes_are_the_batch_of_one(pairs):
    images = on_device(pairs, CPU)
    for noise in (None, Noise(25), Noise(25, (0.0, 50.0)), Noise(25, (0.0, 50.0), colour=True)):
        whole = batch_of(images, 16, 6, 3, 8, noise=noise)
        shares = [batch_of(images, 16, 6, 3, 8, noise=noise, rank=rank, processes=3) for rank in range(3)]
        for part, parts in zip(whole, zip(*shares, strict=True), strict=True):
            torch.testing.assert_close(torch.stack(parts, 1).flatten(0, 1), part, rtol=0, atol=0)


def test_a_batch_that_cannot_be_shared_evenly_is_refused_with_one_that_can():
    Processes(0, 3).check_batches(batch=6, late_batch=9)
    with pytest.raises(
        UsageError, match=r"late_batch .* 3 processes can share evenly, got 8; --set data\.late_batch=9"
    ):
        Processes(0, 3).check_batches(batch=6, late_batch=8)


def test_alone_nothing_is_wrapped():
    module = nn.Linear(2, 2)
    assert Processes().share(module) is module and Processes().leads
