"""Every network goes through the whole export."""

import numpy as np
import pytest

from pnen_export.export import export
from pnen_export.inputs import Input, make_batch
from pnen_runtime import Smoother
from pnen_train.models import MODELS


@pytest.fixture
def _odd_sizes(monkeypatch):
    """The comparison at the sizes that break networks, without the photograph in tiles."""

    def few(channels, _tile):
        sizes = (("noise", 1, 16, 16), ("photograph", 1, 37, 53), ("photograph", 2, 61, 90))
        return [Input(kind, f"{b}x{h}x{w}", [make_batch(kind, b, h, w, channels)]) for kind, b, h, w in sizes]

    monkeypatch.setattr("pnen_export.export.make_inputs", few)
    monkeypatch.setattr("pnen_export.export.photograph_tiles", lambda channels, _: few(channels, _)[1].batches)


# PNEN is exported in test_export.py, with every input
@pytest.mark.parametrize("name", [name for name in MODELS if name != "pnen"])
@pytest.mark.usefixtures("_odd_sizes")
def test_every_network_is_exported_in_both_targets_and_precisions(tmp_path, network, checkpoint, name):
    model = network(name)
    files = list(export(checkpoint(model, network=name), tmp_path, name, precisions=["fp32", "fp16"]))
    assert len(files) == 4
    for file in files:
        assert (file.card.network, file.card.channels) == (name, model.config.image_channels)
        assert (file.card.max_logit is None) == (name not in ("rdn", "memnet"))
        assert len(file.rows) == 3 and all(row.passed for row in file.rows)
    with Smoother(files[0].path) as smoother:
        shape = (70, 81) if model.config.image_channels == 1 else (70, 81, 3)
        assert smoother.run(np.zeros(shape, np.uint8)).shape == shape
