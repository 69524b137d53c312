"""The process in which TensorRT parses and builds: when it crashes, hangs or fails, the caller lives and says so."""

import gc
import os
import weakref
from types import SimpleNamespace

import pytest
from onnx import helper

from pnen_export import builder_api, engine
from pnen_export.build_process import build_apart
from pnen_export.engine import build_here
from pnen_export.onnx_file import OnnxFile
from pnen_export.profiles import read_profile
from pnen_runtime.card import KEY, Card
from pnen_runtime.errors import EngineError, ParityError, PnenError

CARD = Card(network="pnen", task={"filter": "l0"}, precision="fp16", engine={"flavour": "rtx", "options": {}})
FAKE = """
class ILogger: pass
def Builder(log):
    log.log(type("Severity", (), {"name": "ERROR"}), "a line of the log")
    print("words of a library")
    print(3)
"""
MODULES = {
    "crashing": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", EngineError, "crashed .*code -11"),
    "ending": ("import os; os._exit(0)", EngineError, "crashed on it"),
    "hanging": ("import time; time.sleep(600)", PnenError, "was not done after 1 s and was .* --build-limit MINUTES"),
    "hanging_later": (FAKE + "    import time; time.sleep(600)", PnenError, "was not done after 1 s"),
    "refusing": (f"{FAKE}    from pnen_runtime import ParityError; raise ParityError('FP32')", ParityError, "FP32"),
    "failing": (FAKE + "    raise MemoryError", PnenError, "not enough memory to build the engine"),
    "full": (FAKE + "    raise OSError(28, 'No space left on device', 'plan')", PnenError, "No space left .* 'plan'"),
    "raising": (FAKE + "    raise RuntimeError('max\\nis odd')", EngineError, "refuses it: max is odd"),
}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    model = helper.make_model(helper.make_graph([], "g", [], []))
    helper.set_model_props(model, {KEY: CARD.to_json()})
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    return OnnxFile(tmp_path / "model.onnx", (tmp_path / "model.onnx").read_bytes(), CARD, 1.0, 8)


@pytest.mark.parametrize("name", MODULES)
def test_what_happens_to_the_process_is_an_error_of_the_file(file, tmp_path, monkeypatch, name):
    code, kind, says = MODULES[name]
    (tmp_path / f"{name}_trt.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    log, profile = SimpleNamespace(lines=[]), read_profile("16x16,32x32,32x32")
    limit = 1 if "hanging" in name else 300
    with pytest.raises(kind, match=says) as caught:
        build_apart(SimpleNamespace(__name__=f"{name}_trt"), log, file, CARD, [profile], None, print, seconds=limit)
    assert type(caught.value) is kind  # and so the exit code
    if name in ("refusing", "failing", "full", "raising"):
        assert log.lines == [("ERROR", "a line of the log")]


def test_a_failure_keeps_no_builder_alive(file, monkeypatch):
    """One that is freed while the next one builds may never end."""

    class Builder:
        pass

    made = []

    def opened(*_):
        builder = Builder()
        made.append(weakref.ref(builder))
        return builder, None

    monkeypatch.setattr(builder_api, "open_builder", opened)
    monkeypatch.setattr(engine, "typed_share", lambda *_: pytest.fail("not so far"))
    parser = SimpleNamespace(parse=lambda _: False, get_error=lambda _: SimpleNamespace(desc=lambda: "no"))
    trt = SimpleNamespace(OnnxParser=lambda *_: parser)
    gc.disable()
    try:
        with pytest.raises(EngineError) as kept:
            build_here(trt, SimpleNamespace(lines=[]), file, CARD, [], None, lambda *_: None)
        assert made[0]() is None and kept.value.__traceback__ is not None
    finally:
        gc.enable()


def test_a_card_that_the_process_cannot_read_is_no_crash(file, tmp_path, monkeypatch):
    """As of a size that a card cannot say."""
    odd = Card(**vars(CARD) | {"engine": CARD.engine | {"profiles": [[[1, 16, 16], [1, 16, 16], [99999, 16, 16]]]}})
    log, profile = SimpleNamespace(lines=[]), read_profile("16x16,16x16,99999x16x16")
    (tmp_path / "plain_trt.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    trt = SimpleNamespace(__name__="plain_trt")
    with pytest.raises(EngineError, match="engine.profiles.*99999"):
        build_apart(trt, log, file, odd, [profile], None, print, seconds=300)
