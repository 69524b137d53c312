import sys

import numpy as np
import onnxruntime
import pytest

from pnen_runtime import BackendMissing, EngineError, PnenError, UsageError
from pnen_runtime.backends import open_backend, ort
from pnen_runtime.backends.ort import usable_cores
from pnen_runtime.cuda.driver import Gpu
from pnen_runtime.models import find_model


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (2, 3, 37, 53), (1, 3, 1, 300)])
@pytest.mark.parametrize("kind", ["identity", "invert", "flat"])
def test_the_network_answers_at_any_size(model, answers, kind, shape):
    batch = np.random.default_rng(0).random(shape, np.float32)
    backend = open_backend(model(kind))
    np.testing.assert_array_equal(backend.run(batch), answers[kind](batch))
    backend.close()
    with pytest.raises(PnenError, match="closed"):
        backend.run(batch)


def test_info_and_card_say_what_runs_and_why(model, card):
    backend = open_backend(model("invert", tile_step=9), threads=1)
    assert backend.card == card(tile_step=9)
    assert backend.info.startswith("onnxruntime-cpu 1.") and "1 CPU thread (the file is ONNX)" in backend.info
    asked = open_backend(model("invert"), "onnxruntime-cpu")
    assert "asked for" in asked.info and f"{usable_cores()} CPU thread" in asked.info


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_a_truncated_file_is_one_line(model, share):
    path = model("invert")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(EngineError, match="invert.onnx") as caught:
        open_backend(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("card_text", "output", "says"),
    [(None, "smooth", "without a PNEN card"), ("{", "smooth", "not JSON"), ('{"format": 99}', "smooth", "format 99"),
     ('{"format": 1, "network": "toy", "task": {}, "graph_sha256": ""}', "boxes",
      "expected float32 NCHW 'image' in and 'smooth' out, got image: .*boxes")],
)  # fmt: skip
def test_a_foreign_model_is_refused_and_told_what_it_lacks(write, tmp_path, card_text, output, says):
    with pytest.raises(EngineError, match=says):
        open_backend(write(tmp_path / "foreign.onnx", "identity", card_text, output))


def test_a_batch_has_the_cards_strength_or_its_own_and_no_other(model):
    batch, backend = np.ones((2, 3, 20, 30), np.float32), open_backend(model("dim"))
    np.testing.assert_allclose(backend.run(batch), 0.02, rtol=1e-6)
    strengths = np.full((2, 1, 20, 30), 0.1, np.float32)
    np.testing.assert_array_equal(backend.run(batch, strengths), batch * strengths)
    with pytest.raises(UsageError, match=r"expected strengths of shape \(2, 1, 20, 30\)"):
        backend.run(batch, strengths[:1])
    with pytest.raises(UsageError, match="no strengths, for a network of one strength"):
        open_backend(model("invert")).run(batch, strengths)


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_backend(tmp_path / "none.onnx")


def test_a_batch_that_does_not_fit_is_an_engine_error(model):
    with pytest.raises(EngineError, match=r"cannot run a batch of shape \(1, 2, 20, 20\)"):
        open_backend(model()).run(np.zeros((1, 2, 20, 20), np.float32))


def test_without_onnxruntime_the_way_to_install_it_is_said(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendMissing, match="pip install onnxruntime$"):
        open_backend(model())


def test_cuda_that_is_not_there_never_becomes_the_cpu(model):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(BackendMissing, match=r'has no CUDA.*pip install "onnxruntime-gpu\[cuda,cudnn\]"'):
        open_backend(model(), "onnxruntime-cuda")


@pytest.mark.parametrize(("name", "flavour"), [("tensorrt", "tensorrt"), ("tensorrt-rtx", "rtx")])
def test_tensorrt_says_how_an_onnx_file_becomes_an_engine(model, name, flavour):
    with pytest.raises(UsageError, match=f"pnen-export .*invert.onnx --engine {flavour}"):
        open_backend(model("invert"), name)


def test_the_way_to_an_engine_is_one_that_works(tmp_path, write, card):
    with pytest.raises(UsageError, match=r"build one: pnen-export --fp16 l0 --out FOLDER --engine rtx"):
        open_backend(find_model("l0"), "tensorrt-rtx")
    with pytest.raises(UsageError, match=r"pnen-export \S*model.fp16.onnx --engine tensorrt"):
        open_backend(write(tmp_path / "model.ort.fp16.onnx", "identity", card()), "tensorrt")


def test_a_checkpoint_is_told_to_be_exported(tmp_path):
    with pytest.raises(UsageError, match="is a checkpoint; export it first: pnen-export .*model.pt"):
        open_backend(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("providers", "gpu", "backend", "says"),
    [(["CPU"], "A", "onnxruntime-cpu", "the file is ONNX"), (["CUDA", "CPU"], None, "onnxruntime-cpu", "no NVIDIA GPU"),
     (["CUDA", "CPU"], "A", "onnxruntime-cuda", "an NVIDIA GPU is here")],
)  # fmt: skip
def test_auto_takes_cuda_where_both_halves_of_it_are_here(monkeypatch, providers, gpu, backend, says):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [f"{p}ExecutionProvider" for p in providers])
    monkeypatch.setattr(ort, "first_gpu", lambda: gpu and Gpu(gpu, "8.9"))
    chosen, why = ort.choose()
    assert chosen == backend and says in why


def test_wrong_names_and_threads_are_wrong_usage(model):
    with pytest.raises(UsageError, match="auto or one of onnxruntime-cpu"):
        open_backend(model(), "cuda")
    with pytest.raises(UsageError, match="thread"):
        open_backend(model(), threads=0)


def test_an_engine_file_is_not_given_to_onnxruntime(tmp_path):
    (tmp_path / "model.engine").write_bytes(b"plan")
    with pytest.raises(UsageError, match="give the ONNX file"):
        open_backend(tmp_path / "model.engine", "onnxruntime-cpu")
