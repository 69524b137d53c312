"""The reliability tools in short form: what they damage is read or refused, what they kill goes on, and they notice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from reliability import guard, soaking
from reliability.damage import damaged_bytes, damaged_value, with_checksums
from reliability.kinds import KINDS, trial_of
from reliability.worker import OUTSIDE, draw_of, verdict

from pnen_runtime import Smoother

TOOLS = Path(__file__).parents[2] / "tools"
CASES = dict.fromkeys(KINDS, 40) | {"checkpoints": 12, "recipes": 12, "runs": 6}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")  # Pillow's
def test_damaged_files_end_in_our_own_errors_and_whole_ones_are_read(kind, tmp_path):
    trial = trial_of(kind, tmp_path)
    for case in range(CASES[kind] // 4):
        assert verdict(trial, draw_of(kind, 3, case, whole=True)) == ("fine", "")
    found = [verdict(trial, draw_of(kind, 3, case)) for case in range(CASES[kind])]
    assert not [why for what, why in found if what == OUTSIDE or why]


def test_damage_is_the_same_again_by_its_seed_and_another_by_another():
    good, nested = bytes(range(256)), {"a": [1, 2.5, {"b": "text"}], "c": None}
    for case in range(20):
        assert damaged_bytes(good, draw_of("x", 1, case)) == damaged_bytes(good, draw_of("x", 1, case))
        assert repr(damaged_value(nested, draw_of("x", 1, case))) == repr(damaged_value(nested, draw_of("x", 1, case)))
    assert len({damaged_bytes(good, draw_of("x", seed, 0)) for seed in range(20)}) > 15
    assert nested == {"a": [1, 2.5, {"b": "text"}], "c": None} and with_checksums(good[:40]) != b""


SAID = {
    "foreign": "IndexError: list index out of range",
    "crash": "crash: the process ended with signal 11",
    "hang": "hang: it said nothing in time",
}
WORKER = """
import sys
from reliability import worker
def trial(draw):
    number = draw.randrange(3)
    if number == 0:
        {fault}
    if number == 1:
        raise worker.PnenError("expected")
worker.trial_of = lambda kind, folder: trial
worker._limit_memory = lambda: None
worker.main()
"""
DONE = {"foreign": "[][0]", "crash": "import os; os.kill(os.getpid(), 11)", "hang": "import signal; signal.pause()"}


@pytest.mark.parametrize("name", DONE)
def test_crashes_hangs_and_foreign_exceptions_are_counted_and_the_rest_goes_on(name, tmp_path, monkeypatch):
    (tmp_path / "reliability_stand_in.py").write_text(WORKER.format(fault=DONE[name]))
    monkeypatch.setattr(guard, "WORKER", "reliability_stand_in")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    numbers = [draw_of("cards", 0, case).randrange(3) for case in range(6)]
    if name == "hang":  # all that is waited for hangs, or a slow machine would be one too
        first = numbers.index(0)
        tally = guard.try_kind("cards", 0, range(first, first + 1), limit=0.5)
        assert tally.outside == {SAID[name] + " and was ended": [first]}
        return
    tally = guard.try_kind("cards", 0, range(6), limit=600)
    assert [tally.counts[what] for what in (OUTSIDE, "exit code 1", "fine")] == [numbers.count(n) for n in range(3)]
    (why, cases), *others = tally.outside.items()
    assert why.startswith(SAID[name]) and not others and cases == [c for c in range(6) if numbers[c] == 0]


def test_the_fuzzer_prints_a_table_and_repeats_a_case(call, monkeypatch):
    result = call("fuzz", "--kind", "caches", "--cases", 5, "--undamaged")
    assert result.exit_code == 0 and "| caches | 5 | 5 | none | 0 | 0 |" in result.output
    assert call("fuzz", "--kind", "caches", "--only", 3).output == "caches case 3 of seed 0: read\n"
    assert call("fuzz", "--only", 3).exit_code == 2

    def broken(kind, folder):
        return lambda draw: [][draw.randrange(3)]

    monkeypatch.setattr("fuzz.trial_of", broken)
    assert "unexpected IndexError" in call("fuzz", "--kind", "caches", "--only", 3).output


def test_threads_give_what_one_gives_and_a_difference_is_noticed(call, monkeypatch):
    result = call("soak", "--runs", 60, "--threads", 4)
    assert result.exit_code == 0, result.output
    assert "60 runs of wmf-fast from 4 threads" in result.output and ": 0 differ" in result.output
    soak = soaking.Soak.of("wmf-fast", 0)
    soak.right[2] = soak.right[2] + 1
    soak.run(14, 2)
    assert len(soak.faults) == 2 and "differs from one thread's" in soak.faults[0]
    monkeypatch.setattr(Smoother, "run", lambda *_: 1 / 0)
    soak.run(2, 2)
    assert "ZeroDivisionError" in soak.faults[-1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork")
@pytest.mark.parametrize("words", [["--job", "smooth", "--points", "2"], ["--job", "train", "--points", "2"]])
def test_what_is_killed_and_starved_leaves_nothing_torn(words):
    done = subprocess.run([sys.executable, TOOLS / "faults.py", *words, "--no-mount"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": 0 faults") == 5 and "(1 died)" in done.stdout


TORN = """
import sys
sys.argv = ["faults", "--job", "smooth", "--points", "4", "--no-mount"]
import pnen_runtime.one_picture as one_picture
def write_bytes(path, data):
    for part in (data[:20], data):
        with open(path, "wb") as file:
            file.write(part)
one_picture.write_bytes = write_bytes
import faults
faults.main()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork")
def test_a_file_that_is_torn_under_its_final_name_is_noticed():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TOOLS), *sys.path])}
    done = subprocess.run([sys.executable, "-c", TORN], capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "torn under its final name" in done.stderr, done.stdout + done.stderr
