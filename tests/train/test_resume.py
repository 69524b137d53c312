"""The command as a process: killed, interrupted, and out of disk."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from pnen_train.checkpoint import load_checkpoint
from pnen_train.cli import main

KILLED = """
import os, signal, sys
from pnen_train import cli
from pnen_train.training import run_folder

note, left = run_folder.RunFolder.note, [int(sys.argv.pop(1))]

def counted(*args):
    note(*args)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

run_folder.RunFolder.note = counted
cli.main()
"""
STEPS = {"optimiser": {"steps": 180}, "run": {"evaluate_every": 20, "checkpoint_every": 14}}


def start(recipe, images, out, *options, threads=1, killed_after=None, **settings):
    """A run as a process; it kills itself after so many evaluations."""
    program = ["-m", "pnen_train.cli"] if killed_after is None else ["-c", KILLED, str(killed_after)]
    command = [sys.executable, *program, "run", str(recipe), str(images), "--out", str(out), *options]
    command += ["--device", "cpu", "--threads", str(threads)]
    env = os.environ | {"OMP_WAIT_POLICY": "passive"}  # threads that spin take minutes where the cores are busy
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, **settings)


def wait_for_rows(process, out, count):
    """Until the run wrote so many rows of metrics."""
    while process.poll() is None:
        if (out / "metrics.jsonl").exists() and (out / "metrics.jsonl").read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.002)
    pytest.fail(f"no {count} rows: {process.stderr.read()}")


def finished(process):
    _, log = process.communicate()
    return process.returncode, log


def rows(out):
    found = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in found]


@pytest.mark.parametrize(("precision", "schedule", "threads"), [("auto", "cosine", 2)])  # as the small recipe has it
def test_a_run_killed_twice_ends_with_the_weights_of_an_uninterrupted_one(
    recipe_file, images, tmp_path, precision, schedule, threads
):
    own = {
        "optimiser": {"steps": 40, "schedule": schedule, "warmup_steps": 10},
        "run": {"evaluate_every": 8, "checkpoint_every": 5, "precision": precision},
    }
    recipe = recipe_file(**{key: STEPS[key] | own[key] for key in STEPS})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, log = finished(start(recipe, images, whole, threads=threads))
    assert code == 0, log
    for count, options in ((1, []), (3, ["--resume"])):
        process = start(recipe, images, killed, *options, threads=threads, killed_after=count)
        assert finished(process)[0] == -signal.SIGKILL
    code, log = finished(start(recipe, images, killed, "--resume", threads=threads))
    assert code == 0, log
    for name in ("last.pt", "best.pt"):
        ours, theirs = load_checkpoint(killed / name), load_checkpoint(whole / name)
        assert (ours.step, ours.sha256()) == (theirs.step, theirs.sha256())
    assert rows(killed) == rows(whole) and len(rows(whole)) == 5

    on_a_busy_machine = (" of 40, loss", " take about ")  # lines of each minute, and of what takes more than one
    lines = [line for line in log.splitlines() if not any(words in line for words in on_a_busy_machine)]
    assert lines[0].startswith("tiny: ") and "into" in lines[0] and lines[1].startswith("doing nothing: PSNR ")
    assert lines[2].startswith("curves and pictures: tensorboard")
    assert all(line.startswith("step ") and "PSNR" in line for line in lines[3:-1]) and len(lines) > 4, log
    assert lines[-1].endswith(f"export it with: pnen-export {killed / 'best.pt'}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_and_says_how_to_go_on(recipe_file, images, tmp_path, number):
    out = tmp_path / "run"
    process = start(recipe_file(**STEPS | {"optimiser": {"steps": 10**6}}), images, out)
    wait_for_rows(process, out, 1)
    process.send_signal(number)
    code, log = finished(process)
    assert code == 128 + number  # as a shell reports it
    assert log.splitlines()[-2:] == [
        f"saved: {out / 'last.pt'}; go on with the same command and --resume",
        "Error: interrupted",
    ]
    assert load_checkpoint(out / "last.pt").step >= 20


def test_files_that_cannot_grow_end_the_run_with_one_line_and_leave_the_checkpoint(recipe_file, images, tmp_path):
    recipe, out = recipe_file(), tmp_path / "run"
    common = ["run", str(recipe), str(images), "--out", str(out), "--device", "cpu"]
    assert CliRunner().invoke(main, common).exit_code == 0
    before = (out / "last.pt").read_bytes()
    limit = len(before) // 2

    def confine():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    code, log = finished(start(recipe, images, out, "--resume", "--steps", "9", preexec_fn=confine))
    assert code == 1
    assert log.splitlines()[-1].startswith("Error: ") and "File too large" in log and "Traceback" not in log
    assert (out / "last.pt").read_bytes() == before
    assert not [name for name in os.listdir(out) if name.startswith(".")]
    assert CliRunner().invoke(main, [*common, "--resume", "--steps", "9"]).exit_code == 0
    assert load_checkpoint(out / "last.pt").step == 9
