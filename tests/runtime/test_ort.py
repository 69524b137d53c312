import sys

import numpy as np
import pytest

from pnen_runtime import BackendMissing, EngineError, PnenError, UsageError
from pnen_runtime.backends import BACKENDS, open_backend
from pnen_runtime.backends.ort import usable_cores


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
     ("{}", "boxes", "expected float32 NCHW 'image' in and 'smooth' out, got image: .*boxes")],
)  # fmt: skip
def test_a_foreign_model_is_refused_and_told_what_it_lacks(write, tmp_path, card_text, output, says):
    with pytest.raises(EngineError, match=says):
        open_backend(write(tmp_path / "foreign.onnx", "identity", card_text, output))


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_backend(tmp_path / "none.onnx")


def test_a_batch_that_does_not_fit_is_an_engine_error(model):
    with pytest.raises(EngineError, match=r"cannot run a batch of shape \(1, 2, 20, 20\)"):
        open_backend(model()).run(np.zeros((1, 2, 20, 20), np.float32))


def test_without_onnxruntime_the_way_to_install_it_is_said(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendMissing, match=r'pip install "pnen\[ort\]"'):
        open_backend(model())


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "onnxruntime-cpu"])
def test_a_backend_that_is_not_there_never_becomes_another(model, name):
    with pytest.raises(BackendMissing, match=name):
        open_backend(model(), name)


def test_wrong_names_and_threads_are_wrong_usage(model):
    with pytest.raises(UsageError, match="auto or one of onnxruntime-cpu"):
        open_backend(model(), "cuda")
    with pytest.raises(UsageError, match="thread"):
        open_backend(model(), threads=0)


def test_an_engine_file_is_not_given_to_onnxruntime(tmp_path):
    (tmp_path / "model.engine").write_bytes(b"plan")
    with pytest.raises(EngineError, match="give the ONNX file"):
        open_backend(tmp_path / "model.engine", "onnxruntime-cpu")
    with pytest.raises(BackendMissing, match="tensorrt"):
        open_backend(tmp_path / "model.engine")
