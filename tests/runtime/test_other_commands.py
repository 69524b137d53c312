"""pnen-smooth inspect and doctor: what a file holds, and what runs here."""

import json
import pickle
import subprocess
import sys
import zipfile

import pytest
from click.testing import CliRunner

from pnen_runtime import BackendMissing, bundled_models, doctor
from pnen_runtime.checkpoint_record import _count, read_record
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
    ({"onnxruntime": "1.32", "onnxruntime-openvino": "1.24"}, None, None, "openvino; pip install onnxruntime-openvino"),
    ({"onnxruntime-ep-webgpu": "0.4"}, None, None, "a plug-in of ONNX Runtime, which is not here; pip install onnxrun"),
    ({"onnxruntime-openvino": "1.24", "onnxruntime-ep-openvino": "1.8"}, None, None, "bring the same provider twice"),
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
    {"onnxruntime-gpu": "1.32", "onnxruntime-extensions": "0.14"}, {"onnxruntime": "1.32", "onnxruntime-genai": "0.18"},
    {"onnxruntime": "1.32", "onnxruntime-ep-openvino": "1.8", "onnxruntime-ep-webgpu": "0.4"},
    {"tensorrt": "11.0", "tensorrt-cu13": "11.0"},
    {"nvidia-cuda-runtime-cu12": "12.8"}, {"cuda-python": "13.0"}, {"cuda-python": "unknown"}, {},
])  # fmt: skip
def test_what_fits_is_no_clash(packages):
    assert not list(clashes(packages, "13.0", "12.8")) and not list(clashes(packages, None))


def archive(path, data):
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("a/data.pkl", data)
    return path


def of(**fields):
    return {"network": "pnen", "step": 1, "training": {}, "weights": {}} | fields


def shared(times):
    part: list = []
    for _ in range(times):
        part = [part, part]
    return part


def nested(depth):
    part: list = []
    for _ in range(depth):
        part = [part]
    return part


HOSTILE = {
    "a place beyond the file": pickle.dumps(of(), protocol=2)[:-1] + b"r\xff\xff\xff\x0f.",
    "shared lists": pickle.dumps(of(training={"task": shared(40)})),
    "too deep": pickle.dumps(of(training={"task": nested(300)})),
    "a long name": pickle.dumps(of(network="n" * 3_000_000)),
    "a huge number": pickle.dumps(of(step=10**5000)),
    "a huge figure": pickle.dumps(of(training={"validation": {"psnr": 10**400}})),
    "a set": pickle.dumps(of(training={"task": {1, 2}})),
    "a key of numbers": pickle.dumps(of(training={(1, 2): 3})),
    "a text for a record": pickle.dumps(of(training="text")),
}


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_checkpoint_costs_nothing(tmp_path, name, options):
    done = run("inspect", archive(tmp_path / "a.pt", HOSTILE[name]), *options)
    assert done.exit_code == 1 and len(done.stderr) < 1000 and "expected a PNEN checkpoint" in done.stderr, done.output


@pytest.mark.parametrize("size", [("a", 3 * 10**9), ([0], 10**9), (2**60,), (-1,), "text", (1,) * 9])
def test_a_tensor_without_a_shape_is_refused(size):
    with pytest.raises(pickle.UnpicklingError):
        _count(None, 0, size)


@pytest.mark.parametrize("training", [
    {"task": 3, "scores": []}, {"scores": {"rows": []}}, {"scores": {"rows": {"a": 3}}}, {"validation": 3},
    {"scores": {"rows": {"a": {"psnr": "x", "ssim": [1]}}}},
])  # fmt: skip
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_records_of_other_kinds_are_left_out(tmp_path, model, training, options):
    path = archive(tmp_path / "a.pt", pickle.dumps(of(training=training)))
    file = model("invert", training=training, parity={"a": {"max_abs": "x"}, "b": 3})
    for done in (run("inspect", path, *options), run("inspect", file, *options)):
        assert done.exit_code == 0, done.output
        assert not options or json.loads(done.stdout)


def test_json_is_json_whatever_a_card_holds(model):
    file = model("invert", trained_on="\u00a0 \u009b \U000e0001 \x1b[31m")
    assert json.loads(run("inspect", file, "--json").stdout)["card"]["trained_on"].startswith("\u00a0")


@pytest.mark.parametrize("fields", [{"config": {"grid": "x"}}, {"config": {"grid": [2]}}, {"config": {"grid": 0}},
                                    {"task": {"scale": 2, "noise": 25}}])  # fmt: skip
def test_the_doctor_goes_on_after_an_odd_card(model, fields):
    odd = model("invert", **fields)
    done = run("doctor", odd, odd)
    assert done.exit_code == 1 and "2 of 2 models do not run" in done.stderr and done.stdout.count(": no, ") >= 2
    assert run("inspect", odd).exit_code == 5


def test_a_name_that_no_system_takes_is_a_model_that_is_not_there():
    assert run("inspect", "n" * 300).exit_code == 2
