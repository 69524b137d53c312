"""Other providers of ONNX Runtime: a stand-in, played by its CPU, everywhere; OpenVINO where it is installed."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from PIL import Image

from pnen_runtime import BackendMissing, EngineError, PnenError, Smoother, Upscaler, UsageError, doctor
from pnen_runtime.backends import open_backend
from pnen_runtime.backends.options import complete_backend
from pnen_runtime.backends.providers import PROVIDERS
from pnen_runtime.cli import smooth
from pnen_runtime.errors import ParityError
from pnen_runtime.models import bundled_models, find_model

TOY = "ToyExecutionProvider"


class Session(onnxruntime.InferenceSession):
    """The CPU's, which says that it is the toy's where that was asked for; `faults` are what goes wrong there."""

    faults: dict = {}  # noqa: RUF012
    threads_inside = 0

    def __init__(self, data, options, providers=(), enable_fallback=True, **_):
        assert not enable_fallback
        self.toy = bool(options.devices) or (bool(providers) and providers[0][0] == TOY)
        self.devices = options.devices
        self.given = options.given if options.devices else dict(providers[0][1]) if self.toy else {}
        if self.toy and "refuses" in Session.faults:
            raise RuntimeError(f"/a/file.cc:7 Factory(const Options&) {Session.faults['refuses']}")
        super().__init__(data, options, providers=["CPUExecutionProvider"], enable_fallback=False)

    def get_providers(self):
        there = self.toy and "no device" not in Session.faults
        return [TOY, "CPUExecutionProvider"] if there else ["CPUExecutionProvider"]

    def get_provider_graph_assignment_info(self):
        parts, outside = super().get_provider_graph_assignment_info(), Session.faults.get("outside", 0)
        names = ["CPUExecutionProvider"] * outside + [TOY] * (len(parts) - outside)
        return [
            SimpleNamespace(ep_name=name, get_nodes=part.get_nodes) for name, part in zip(names, parts, strict=True)
        ]

    def run(self, names, given, *_):
        Session.threads_inside += self.toy
        time.sleep(0.01 * self.toy)  # for others to come in, where nothing keeps them out
        assert Session.threads_inside < 2
        (smooth,) = super().run(names, given)
        Session.threads_inside -= self.toy
        return [smooth + np.float32(Session.faults.get("apart", 0) if self.toy else 0)]


class Options(onnxruntime.SessionOptions):
    def __init__(self):
        super().__init__()
        self.devices, self.given = [], {}

    def add_provider_for_devices(self, devices, options):
        self.devices, self.given = devices, options


@pytest.fixture(params=["by name", "plug-in"])
def toy(request, monkeypatch):
    """An ONNX Runtime that has the toy's provider; its `faults` may be set."""
    kinds = ["CPU", "GPU", "GPU"] if request.param == "plug-in" else []
    devices = [SimpleNamespace(ep_name=TOY, device=SimpleNamespace(type=f"OrtHardwareDeviceType.{kind}"), number=number)
               for number, kind in enumerate(kinds)]  # fmt: skip
    module = SimpleNamespace(
        __version__="1.99", GraphOptimizationLevel=onnxruntime.GraphOptimizationLevel, SessionOptions=Options,
        InferenceSession=Session, get_ep_devices=lambda: devices,
        get_available_providers=lambda: ["CPUExecutionProvider"] if devices else [TOY, "CPUExecutionProvider"],
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    monkeypatch.setattr(Session, "faults", {})
    return SimpleNamespace(faults=Session.faults, kind=request.param, module=module)


def test_pictures_come_out_as_on_the_cpu_and_it_is_told_what_runs(toy, model):
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    with Smoother(model("invert"), backend=TOY, provider_options={"device_type": "GPU.1", "speed": 2}) as smoother:
        np.testing.assert_array_equal(smoother.run(image), Smoother(model("invert")).run(image))
        told = f"1 of 1 nodes on {TOY}, device_type=GPU.1 speed=2, within 0 of the CPU (asked for)"
        assert smoother.info.backend == f"{TOY} 1.99, {told}"
        session = smoother._backend._session
    given = {"speed": "2"} if toy.kind == "plug-in" else {"device_type": "GPU.1", "speed": "2"}
    assert session.given == given, "each option is text, and a plug-in's device is chosen here"
    if toy.kind == "plug-in":
        assert session.devices[0].number == 2


@pytest.mark.parametrize(("fault", "error", "code", "says"), [
    ({"no device": 1}, BackendMissing, 4, "its device is not here; ONNX Runtime would run on CPUExecutionProvider"),
    ({"refuses": "Device NPU is not available"}, BackendMissing, 4, "cannot be opened with .* Device NPU is not avail"),
    ({"outside": 1}, EngineError, 5, "takes none of its 1 nodes, so all of it would run on the CPU"),
    ({"apart": 0.02}, ParityError, 3, "differs from the CPU by 0.02 on a test picture, expected at most 0.0078"),
    ({"apart": float("nan")}, ParityError, 3, "differs from the CPU by nan"),
])  # fmt: skip
def test_what_would_not_run_there_or_not_right_is_refused(toy, model, fault, error, code, says):
    toy.faults.update(fault)
    with pytest.raises(error, match=says) as caught:
        open_backend(model("invert"), TOY)
    assert caught.value.exit_code == code and "\n" not in str(caught.value)


def test_a_coarser_result_is_told_and_a_part_on_the_cpu_too(toy, caplog):
    toy.faults.update({"apart": 0.001, "outside": 3})
    backend = open_backend(find_model("wmf-fast"), TOY)
    assert "differs from the CPU by 0.001, as what computes in half precision" in caplog.text
    assert f"{TOY} runs " in caplog.text and ", and the CPU the others" in caplog.text
    assert f"of {len(backend._session.get_provider_graph_assignment_info())} nodes on {TOY}" in backend.info


def test_an_older_runtime_that_cannot_say_where_nodes_run_must_run_all_there(toy, model, monkeypatch):
    monkeypatch.delattr(onnxruntime.InferenceSession.__mro__[1], "get_provider_graph_assignment_info")
    monkeypatch.delattr(Session, "get_provider_graph_assignment_info")
    asked = []
    monkeypatch.setattr(Options, "add_session_config_entry", lambda _, key, value: asked.append((key, value)))
    assert f"all nodes on {TOY}" in open_backend(model("invert"), TOY).info
    assert ("session.disable_cpu_ep_fallback", "1") in asked


def test_threads_take_turns(toy, model):
    backend, batch = open_backend(model("invert"), TOY), np.ones((1, 3, 20, 20), np.float32)
    with ThreadPoolExecutor(4) as pool:
        for smooth in pool.map(backend.run, [batch] * 8):
            np.testing.assert_array_equal(smooth, 1 - batch)


def test_a_device_that_a_plug_in_does_not_find_is_not_there(toy, model):
    if toy.kind == "plug-in":
        for wanted in ("NPU", "GPU.2"):
            with pytest.raises(BackendMissing, match=f"finds no device {wanted}, only CPU, GPU, GPU"):
                open_backend(model("invert"), TOY, provider_options={"device_type": wanted})


@pytest.mark.parametrize("backend", [*PROVIDERS, "XExecutionProvider"])
def test_a_provider_that_is_not_installed_is_one_line_with_the_package(model, monkeypatch, backend):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "get_ep_devices", list)
    for place in ("providers", "ort_provider"):
        monkeypatch.setattr(f"pnen_runtime.backends.{place}.plugins", lambda name: iter(()))
    package = "install it: pip" if backend in PROVIDERS else "has XExecutionProvider"
    with pytest.raises(BackendMissing, match=package):
        open_backend(model("invert"), backend)


def test_a_plug_in_without_a_device_is_another_line(model, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_ep_devices", list)
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", lambda name, path: None)
    plugin = SimpleNamespace(__name__="onnxruntime_ep_toy", get_library_path=lambda: "toy.so")
    for place in ("providers", "ort_provider"):
        monkeypatch.setattr(f"pnen_runtime.backends.{place}.plugins", lambda name: iter([plugin]))
    with pytest.raises(BackendMissing, match="onnxruntime_ep_toy is installed, but it finds no device"):
        open_backend(model("invert"), TOY)


def test_a_plug_in_package_that_does_not_load_is_one_line(model, monkeypatch, tmp_path):
    (tmp_path / "onnxruntime_ep_toy.py").write_text(
        f"def get_ep_names(): return [{TOY!r}]\ndef get_library_path(): return {str(tmp_path / 'none.so')!r}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    if not hasattr(onnxruntime, "register_execution_provider_library"):
        pytest.skip("this ONNX Runtime takes no plug-ins")
    with pytest.raises(BackendMissing, match="onnxruntime_ep_toy does not load into ONNX Runtime") as caught:
        open_backend(model("invert"), TOY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("words", "says"), [
    (["--backend", "openvino"], "or one of .*onnxruntime-openvino"),
    (["--backend", "CPUExecutionProvider"], "or the name of a provider"),
    (["--provider-option", "device_type=GPU"], "provider options with one of onnxruntime-openvino"),
    (["--backend", "onnxruntime-openvino", "--provider-option", "GPU"], "expected KEY=VALUE"),
    (["--backend", "onnxruntime-openvino", "--provider-option", "device_type=TPU"], "begin with CPU, GPU.*got 'TPU'"),
])  # fmt: skip
def test_wrong_words_are_wrong_usage(tmp_path, words, says):
    Image.new("RGB", (32, 32)).save(tmp_path / "in.png")
    done = CliRunner().invoke(smooth, [*words, str(tmp_path / "in.png"), str(tmp_path / "out.png")])
    assert done.exit_code == 2 and len(done.stderr.strip().splitlines()) == 1
    with pytest.raises(UsageError, match=says):
        raise UsageError(done.stderr)


def test_an_engine_is_not_given_to_a_provider(tmp_path):
    (tmp_path / "model.engine").write_bytes(b"plan")
    with pytest.raises(UsageError, match="give the ONNX file"):
        open_backend(tmp_path / "model.engine", "onnxruntime-openvino")


def test_the_doctor_tries_providers_that_are_installed(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["DmlExecutionProvider"])
    assert "onnxruntime-directml" in doctor.other_providers()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert doctor.other_providers() == []


def openvino(model, **options):
    """It, or the test ends with why it cannot run here."""
    try:
        return open_backend(model, "onnxruntime-openvino", provider_options=options)
    except BackendMissing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", bundled_models())
def test_openvino_gives_what_the_cpu_gives_of_every_bundled_model(name):
    model, random = find_model(name), np.random.default_rng(1)
    there, here = openvino(model), open_backend(model, "onnxruntime-cpu")
    for height, width in ((16, 16), (49, 80), (96, 96)):
        batch = random.random((2, there.card.channels, height, width), np.float32)
        strengths = None
        if ends := there.card.strength:
            strengths = random.uniform(ends["least"], ends["most"], (2, 1, height, width)).astype(np.float32)
        np.testing.assert_allclose(there.run(batch, strengths), here.run(batch, strengths), atol=1e-4, rtol=0)
    taken, of = there.info.partition(", ")[2].split(" nodes")[0].split(" of ")
    assert taken == of, there.info
    picture = random.integers(0, 256, (60, 70, 3), np.uint8)
    kind = Upscaler if "scale" in there.card.task else Smoother
    pair = [kind(Smoother(model, backend=one) if kind is Upscaler else model, **({} if kind is Upscaler else
            {"backend": one})).run(picture).astype(int) for one in (there, here)]  # fmt: skip
    assert np.abs(pair[0] - pair[1]).max() <= 1


def test_openvino_computes_in_float32_unless_it_is_told_otherwise(caplog):
    exact = openvino(find_model("enlarge2"))
    assert float(exact.info.partition("within ")[2].split()[0]) < 1e-4
    lower = {"load_config": '{"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}'}
    try:
        open_backend(find_model("enlarge2"), "onnxruntime-openvino", provider_options=lower)
    except PnenError as error:
        caplog.records.clear()
        told = str(error)
    else:
        pytest.skip("this CPU computes in no bfloat16")
    assert "differs from the CPU by" in told


def test_a_real_provider_that_takes_nothing_is_refused():
    if "AzureExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no Azure provider, which takes no node of ours")
    with pytest.raises(EngineError, match="takes none of its .* nodes, so all of it would run on the CPU"):
        open_backend(find_model("wmf-fast"), "AzureExecutionProvider")


@pytest.mark.parametrize("backend", PROVIDERS)
def test_the_page_says_what_a_message_says(backend):
    page = (Path(__file__).parents[2] / "docs/providers.md").read_text("utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{backend}` |"))
    package = PROVIDERS[backend].install.rpartition("pip install ")[2].split(",")[0]
    assert f"`{package}`" in row and package.startswith("onnxruntime")


def test_shells_complete_the_names():
    assert [item.value for item in complete_backend(None, None, "onnxruntime-o")] == ["onnxruntime-openvino"]
