"""What is said of an engine that cannot be run where it was built."""

import pytest

from pnen_export.engine_proof import prover
from pnen_runtime.card import Card
from pnen_runtime.engine_file import EngineFile
from pnen_runtime.errors import BackendMissing, EngineError, Misfit


def test_only_a_misfit_is_an_engine_that_cannot_be_run_here(tmp_path, monkeypatch):
    """A TensorRT-RTX engine that should load and does not must never be kept as merely unproven."""
    file = EngineFile(tmp_path / "model.engine", b"", Card(network="pnen", task={}, engine={"flavour": "rtx"}))

    def opening(error):
        monkeypatch.setattr("pnen_export.engine_proof.open_trt", lambda *_, **__: (_ for _ in ()).throw(error))
        return prover(tmp_path / "model.onnx")(file)

    assert opening(Misfit("for SM89")) == "it cannot be run here, for SM89"
    assert opening(BackendMissing("no GPU")) == "it cannot be run here, no GPU"
    with pytest.raises(EngineError, match="cannot load it"):
        opening(EngineError("TensorRT cannot load it"))
