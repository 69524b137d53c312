"""The proof for NVIDIA cards: all of it where there is one; elsewhere that it says what is missing and what failed."""

import json
from types import SimpleNamespace

import click.testing
import gpu_proof
import numpy as np
import pytest
from gpu_checks import engines, lab, process, same, speed
from gpu_checks.lab import Lab, missing
from gpu_checks.line import FAIL, PASS, SKIP, Line, Outcome, perform
from gpu_checks.order import SIZES, all_lines
from gpu_checks.prepare import networks, prepare
from gpu_checks.report import markdown
from gpu_checks.stored import UNIT, read_reference
from gpu_checks.subject import Skipped, Subject

from pnen_export.parity import torch_run
from pnen_runtime.backends.ort import OrtBackend
from pnen_runtime.cuda.driver import first_gpu

MARKS = {"tensorrt": pytest.mark.tensorrt, "tensorrt-rtx": pytest.mark.rtx}
TOO_LONG = (speed.bench, engines.beyond_the_guard)  # for a test; `make gpu-proof` has them


def on_gpu(line):
    marks = [pytest.mark.gpu, *([MARKS[line.subject.stack]] if line.subject.stack in MARKS else [])]
    return pytest.param(line, id=str(line), marks=marks)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu-proof")
    prepare(folder, networks())
    return folder


@pytest.mark.parametrize("line", [on_gpu(line) for line in all_lines() if line.check not in TOO_LONG])
def test_proof_on_the_gpu(line, request, monkeypatch):
    lacks = missing(line.subject)
    if lacks:
        pytest.skip(lacks)
    monkeypatch.setattr(process, "PATIENCE", 10**6)  # a slow card is no failure
    (outcome,) = process.perform_all([line], request.getfixturevalue("prepared"), minutes=10**6)
    if outcome.verdict == SKIP:
        pytest.skip(outcome.reason)
    assert outcome.verdict == PASS, outcome


def run(*arguments):
    return click.testing.CliRunner().invoke(gpu_proof.main, ["run", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "prepared.json").write_text("{}")
    return tmp_path


@pytest.mark.skipif(first_gpu() is not None, reason="there is a GPU")
def test_without_a_gpu_every_line_says_what_is_missing_and_the_exit_code_is_4(folder):
    result = run(folder, "--out", folder / "report")
    assert result.exit_code == 4, result.output
    for line in all_lines():
        assert f"SKIP  {line}  (0.0 s)  no NVIDIA GPU" in result.output
    record = json.loads((folder / "report/gpu_proof.json").read_text())
    assert record["header"]["GPU"] == "none" and len(record["lines"]) == len(all_lines())


def test_a_folder_that_is_not_prepared_is_wrong_usage(tmp_path):
    result = run(tmp_path)
    assert result.exit_code == 2 and f"prepare {tmp_path}" in result.output
    assert run(tmp_path, "--only", "no such line").exit_code == 2


def fine(_lab, _subject):
    return {"rows": [{"size": "1x2|3", "ms": 0.12345}], "share": 1.0}


def broken(_lab, _subject):
    raise ValueError("two\nlines")


def refused(_lab, _subject):
    raise Skipped("not this card")


def test_a_check_that_raises_fails_and_the_others_go_on(folder, monkeypatch):
    lines = [Line(check, Subject("cuda"), 1) for check in (broken, refused, fine)]
    monkeypatch.setattr(gpu_proof, "all_lines", lambda: lines)
    monkeypatch.setattr(
        gpu_proof,
        "perform_all",
        lambda lines, _folder, _minutes, show, _passed: [show(perform(line, None)) for line in lines],
    )
    result = run(folder, "--out", folder / "report")
    assert result.exit_code == 1
    record = json.loads((folder / "report/gpu_proof.json").read_text())
    assert [line["verdict"] for line in record["lines"]] == [FAIL, SKIP, PASS]
    assert record["lines"][0]["reason"] == "ValueError: two lines"
    page = (folder / "report/gpu_proof.md").read_text()
    assert "1 PASS, 1 FAIL, 1 SKIP" in page and 'raise ValueError("two' in page and "| 1x2\\|3 | 0.123 |" in page
    assert run(folder, "--only", "fine").exit_code == 0
    assert run(folder, "--only", "refused").exit_code == 4


PROGRAM = """
import json, os, signal, sys
for line in sys.stdin:
    if "broken" in line:
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if "refused" in line:
        signal.pause()
    print(json.dumps({"line": line.strip(), "verdict": "PASS", "figures": {"process": os.getpid()}}), flush=True)
"""


def test_a_crash_and_a_hang_end_one_line_each(tmp_path, monkeypatch):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    monkeypatch.setattr(process, "PROGRAM", program)
    monkeypatch.setattr(process, "PATIENCE", 0)
    monkeypatch.setattr(process, "missing", lambda _subject: None)
    subject, hurry, long = Subject("cuda"), 0.1, 10**6
    lines = [Line(check, subject, long) for check in (fine, fine, broken, fine)]
    outcomes = process.perform_all([*lines, Line(refused, subject, hurry), lines[0]], tmp_path, 60 * long)
    assert [outcome.verdict for outcome in outcomes] == [PASS, PASS, FAIL, PASS, FAIL, PASS]
    assert "signal 11: last words" in outcomes[2].reason and "ended after" in outcomes[4].reason
    processes = [outcome.figures.get("process") for outcome in outcomes]
    assert processes[0] == processes[1] and len(set(processes)) == 4
    assert process.perform_all(lines, tmp_path, 1)[0].verdict == SKIP  # it takes longer than a minute


@pytest.fixture
def played(tmp_path, monkeypatch):
    """Three lines, whose checks PROGRAM plays, and how often it was begun."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    monkeypatch.setattr(process, "PROGRAM", program)
    monkeypatch.setattr(process, "missing", lambda _subject: None)
    lines = [Line(check, Subject("cuda", name), 1) for check, name in ((fine, "a"), (broken, "b"), (fine, "c/d"))]
    monkeypatch.setattr(gpu_proof, "all_lines", lambda: lines)


def test_a_proof_that_was_cut_off_goes_on_with_the_lines_that_have_not_passed(folder, played):
    report = folder / "report"

    def verdicts(*options):
        result = run(folder, "--out", report, "--time", 10**6, *options)
        assert (report / "gpu_proof.json").is_file() and result.exit_code == 1, result.output
        lines = json.loads((report / "gpu_proof.json").read_text())["lines"]
        return [(line["verdict"], line["reason"] == "it passed before") for line in lines]

    assert verdicts("--only", "cuda a,cuda b") == [(PASS, False), (FAIL, False)]
    assert sorted(path.name for path in (report / "verdicts").iterdir()) == ["cuda_a_fine.json", "cuda_b_broken.json"]
    assert verdicts("--resume") == [(PASS, True), (FAIL, False), (PASS, False)]
    assert verdicts("--resume") == [(PASS, True), (FAIL, False), (PASS, True)]
    (report / "verdicts/cuda_a_fine.json").write_text('{"of": "torn')
    assert verdicts("--resume") == [(PASS, False), (FAIL, False), (PASS, True)]
    assert verdicts() == [(PASS, False), (FAIL, False), (PASS, False)]
    (folder / "l0.onnx").write_bytes(b"another network")
    assert verdicts("--resume") == [(PASS, False), (FAIL, False), (PASS, False)]
    assert run(folder, "--resume").exit_code == 2


@pytest.mark.parametrize("adapter", ["pycuda", "cuda-python"])
@pytest.mark.parametrize("stack", ["cuda", "tensorrt", "tensorrt-rtx", "onnxruntime-cuda"])
def test_three_sizes_of_the_proof_fit_their_minutes_with_the_most_telling_lines_first(stack, adapter):
    lines = [
        line for line in all_lines() if line.subject.stack in ("cuda", stack) and line.subject.adapter in ("", adapter)
    ]
    if stack == "tensorrt":  # the slowest has the peers besides
        lines += [line for line in all_lines() if line.subject.stack == "torch"]
    assert [line.minutes for line in lines] == sorted(line.minutes for line in lines)
    for size in SIZES:
        seconds = sum(line.seconds for line in lines if line.minutes <= size)
        assert 0 < seconds <= 60 * size, (size, seconds)
    own = [line for line in lines if line.subject.stack == stack != "cuda"]
    assert [line.check.__name__ for line in own[:4]] == (
        [["build", "nodes"][stack.startswith("onnx")], "parity", "tiles_like_host", "times"] if own else []
    )
    assert all(line.subject.network == "l0" for line in own if line.minutes == 3)
    assert not own or next(line.subject.network for line in own if line.minutes == 8) == "full"


def test_what_was_prepared_is_what_pytorch_computes(tiny):
    folder, model = tiny
    reference, run_torch = read_reference(folder / "tiny.npz"), torch_run(model)
    assert [given.size for given in reference.inputs] == ["2x37x53", "2x37x53", "1x60x90 whole"]
    for given, expected in zip(reference.inputs, reference.expected, strict=True):
        computed = np.concatenate([run_torch(batch).ravel() for batch in given.batches])
        np.testing.assert_allclose(expected, computed, rtol=0, atol=UNIT / 2)
    for target in ("onnx", "ort"):
        for precision in ("fp32", "fp16"):
            subject = Subject("onnxruntime-cuda", "tiny", precision, target)
            figures = same.compare_with_pytorch(OrtBackend(Lab(folder).onnx(subject)), reference, precision)
            assert figures["compared"] == 6 and figures["sizes"] == 2 and not figures["left_out"]


def test_whole_images_have_engines_of_their_own_with_what_this_version_takes(tiny, monkeypatch):
    """A version that refuses a whole image must still build the engine for tiles."""
    built = {}
    sizes = "1x16x16,1x256x256,1x256x256", "1x16x16,1x1080x1920,1x1080x1920"
    monkeypatch.setattr(lab, "WHOLE", {("tiny", "fp16"): sizes})
    monkeypatch.setattr(
        lab,
        "build_engine",
        lambda trt, onnx, path, profiles, cache: built.setdefault((trt.__version__, path.name), profiles),
    )
    for version in ("8.6.0", "10.13.0"):
        trt = SimpleNamespace(__name__="tensorrt", __version__=version)
        monkeypatch.setattr(lab, "find_tensorrt", lambda _wanted, trt=trt: trt)
        for kind in ("", "whole"):
            Lab(tiny[0]).engine(Subject("tensorrt", "tiny", "fp16", sizes=kind), build=True)
    found = {key: [str(profile).split(",")[2] for profile in profiles] for key, profiles in built.items()}
    tiles, whole = ["8x48x48", "32x96x96"], ["1x256x256", "1x1080x1920"]
    assert found == {
        ("8.6.0", "tiny.fp16.engine"): tiles, ("8.6.0", "tiny.fp16.whole.engine"): whole[:1],
        ("10.13.0", "tiny.fp16.engine"): tiles, ("10.13.0", "tiny.fp16.whole.engine"): whole,
    }  # fmt: skip


def test_every_line_has_a_name_of_its_own_and_a_check_that_says_what_it_is():
    lines = all_lines()
    assert len({str(line) for line in lines}) == len(lines)
    assert all(line.check.__doc__ for line in lines)
    assert markdown({}, [Outcome(str(line), SKIP) for line in lines]).count("| SKIP |") == len(lines)
