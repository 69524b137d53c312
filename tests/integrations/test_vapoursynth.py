"""Files for vs-mlrt held to what its source asks of a network, and the script run where VapourSynth is."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner

from pnen_export.cli import main
from pnen_runtime import Smoother

ROOT = Path(__file__).parents[2]


def export(folder, *words):
    return CliRunner().invoke(main, ["--for", "vapoursynth", words[0], str(folder), *words[1:]])


@pytest.mark.parametrize(("words", "file", "channels", "strength"), [
    (["l0-fast"], "l0-fast.vs.onnx", 4, 0.05), (["l0-fast", "--strength", "0.1"], "l0-fast-0.1.vs.onnx", 3, 0.1),
    (["denoise"], "denoise.vs.onnx", 4, 15.0), (["wmf-fast"], "wmf-fast.vs.onnx", 3, None),
])  # fmt: skip
def test_a_network_has_one_input_of_all_planes_and_gives_the_runtimes_picture(
    tmp_path, words, file, channels, strength
):
    done = export(tmp_path, *words)
    assert done.exit_code == 0 and ("GRAYS" in done.output) == (channels == 4), done.output
    session = onnxruntime.InferenceSession(str(tmp_path / file), providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.type, taken.shape[:2]) == ("input", "tensor(float)", [1, channels])
    assert (given.type, given.shape[:2]) == ("tensor(float)", [1, 3])
    image = np.random.default_rng(0).random((48, 64, 3), np.float32)
    planes = list(image.transpose(2, 0, 1)) + [np.full((48, 64), strength, np.float32)] * (channels - 3)
    (found,) = session.run(None, {"input": np.stack(planes)[None]})
    with Smoother(words[0], tile="whole") as smoother:
        smoother.card = replace(smoother.card, border="")  # a program knows none
        expected = smoother.run(image, strength=strength)
    np.testing.assert_allclose(np.clip(found[0], 0, 1), expected.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize(("words", "says"), [
    (["enlarge2"], "works on luma alone"), (["l0", "--strength", "3"], "expected a strength from 0.002 to 0.2"),
])  # fmt: skip
def test_what_cannot_be_is_one_line(tmp_path, words, says):
    done = export(tmp_path / "out", *words)
    assert done.exit_code == 2 and says in done.stderr and not (tmp_path / "out").exists()


def test_the_script_runs_in_vapoursynth(tmp_path):
    python = os.environ.get("VAPOURSYNTH_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import vapoursynth, onnxruntime"], capture_output=True).returncode:
        pytest.skip("neither this Python nor one that VAPOURSYNTH_PYTHON names has VapourSynth and ONNX Runtime")
    assert export(tmp_path, "l0-fast").exit_code == 0
    driver = Path(__file__).with_name("in_vapoursynth.py")
    words = [python, driver, ROOT, tmp_path / "l0-fast.vs.onnx"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["number"] < 1e-5 and told["map"] < 1e-5 and told["format"], told
    assert told["luma"] <= 1, told
