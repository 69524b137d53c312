"""pnen-smooth inspect and doctor: what a file holds, and what runs here."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from pnen_runtime import BackendMissing, bundled_models, doctor
from pnen_runtime.checkpoint_record import read_record
from pnen_runtime.clashes import clashes
from pnen_runtime.cli import smooth
from pnen_train.checkpoint import BUNDLED, load_checkpoint


def run(*words):
    return CliRunner().invoke(smooth, [*map(str, words)])


@pytest.mark.parametrize("name", bundled_models())
def test_a_bundled_model_is_told(name):
    done = run("inspect", name)
    assert done.exit_code == 0 and "CC0-1.0" in done.stdout and " dB, SSIM " in done.stdout, done.output
    card = json.loads(run("inspect", name, "--json").stdout)["card"]
    assert card["network"] == "pnen" and card["task"]


@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*.pt")), ids=lambda path: path.stem)
def test_a_checkpoint_is_read_as_torch_reads_it(path):
    network, step, training, values = read_record(path)
    found = load_checkpoint(path)
    assert (network, step, training) == (found.network, found.step, found.training)
    assert values == sum(weight.numel() for weight in found.weights.values())
    done = run("inspect", path)
    assert f"a checkpoint of step {step:,}" in done.stdout and f"{values:,} values" in done.stdout


def test_it_needs_neither_torch_nor_onnx_nor_a_backend(tmp_path):
    code = (f"import sys; from pnen_runtime.cli import smooth; smooth(['inspect', {str(BUNDLED / 'l0.pt')!r}], "
            "standalone_mode=False); sys.exit(bool({'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))")  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("content", ["text", "torn", "code"])
@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".engine", ".txt"])
def test_what_is_no_model_is_one_line(tmp_path, suffix, content):
    path = tmp_path / f"model{suffix}"
    whole = (BUNDLED / "l0.pt").read_bytes()
    if content == "code":
        import pickle
        import zipfile

        class Hostile:
            def __reduce__(self):
                return (open, (str(tmp_path / "trap"), "w"))

        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", pickle.dumps({"network": Hostile()}, protocol=2))
    else:
        path.write_bytes(b"a text" if content == "text" else whole[: len(whole) // 2])
    done = run("inspect", path)
    assert done.exit_code == {".pt": 1, ".txt": 2}.get(suffix, 5), done.output
    assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / "trap").exists()


def test_a_picture_of_that_name_is_still_a_picture(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("inspect").exit_code == 2 and "NAME|FILE" in run("inspect").stderr
    assert "expected an ONNX file" not in run("./inspect", "out.png", "-m", model("invert")).stderr


def test_the_doctor_tries_what_runs_and_says_what_does_not(model, tmp_path):
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(b"nothing")
    done = run("doctor", model("invert"))
    assert "onnxruntime-cpu: yes, onnxruntime-cpu " in done.stdout and "invert.onnx: yes" in done.stdout
    assert "tensorrt-rtx: " in done.stdout and "by default an ONNX file runs on onnxruntime-c" in done.stdout
    assert done.exit_code == 0 and "all is well" in done.stdout, done.output
    done = run("doctor", torn)
    assert done.exit_code == 1 and "torn.onnx: no, " in done.stdout and "1 of 1 models do not run" in done.stderr


def test_without_a_backend_the_doctor_says_what_to_install(monkeypatch):
    def missing(name):
        raise BackendMissing(f"{name} is missing")

    monkeypatch.setattr(doctor, "try_backend", missing)
    done = run("doctor")
    assert done.exit_code == 4 and "no backend runs here; pip install onnxruntime" in done.stderr


@pytest.mark.parametrize(("packages", "driver", "pycuda", "words"), [
    ({"onnxruntime": "1.32", "onnxruntime-gpu": "1.32"}, None, None, "uninstall -y onnxruntime onnxruntime-gpu; pip"),
    ({"tensorrt-cu12": "10.9", "tensorrt-cu13": "11.0"}, None, None, "tensorrt-cu12 and tensorrt-cu13 are both here"),
    ({"tensorrt-cu13": "11.0"}, "12.4", None, "the driver runs CUDA up to 12.4, and tensorrt-cu13 11.0 needs 13"),
    ({"nvidia-cuda-runtime": "13.0.48"}, "12.8", None, "nvidia-cuda-runtime 13.0.48 needs 13; update the driver"),
    ({"cuda-bindings": "13.1.0"}, "12.8", None, "install cuda-bindings for CUDA 12"),
    ({"pycuda": "2026.1"}, "12.8", "13.0", "pycuda was compiled for 13.0"),
])  # fmt: skip
def test_each_clash_is_a_line_with_what_mends_it(packages, driver, pycuda, words):
    (line,) = clashes(packages, driver, pycuda)
    assert words in line


@pytest.mark.parametrize("packages", [
    {"onnxruntime-gpu": "1.32", "onnxruntime-extensions": "0.14"}, {"tensorrt": "11.0", "tensorrt-cu13": "11.0"},
    {"nvidia-cuda-runtime-cu12": "12.8"}, {"cuda-python": "13.0"}, {"cuda-python": "unknown"}, {},
])  # fmt: skip
def test_what_fits_is_no_clash(packages):
    assert not list(clashes(packages, "13.0", "12.8")) and not list(clashes(packages, None))
