"""The tools on the path, as tools/gpu_proof.py itself has them, and a folder that it prepared."""

import sys
from pathlib import Path

import pytest
import torch

from pnen_export.inputs import Input, make_batch
from pnen_train.checkpoint import Checkpoint
from pnen_train.models import build

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
TINY = {"channels": 4, "stages": 1, "dilations": [1], "scales": [4], "key_channels": 4, "value_channels": 4}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A folder that `prepare` wrote, and the network in it."""
    from gpu_checks.prepare import prepare

    torch.manual_seed(0)
    model = build("pnen", TINY).eval()
    folder = tmp_path_factory.mktemp("tiny")

    def few(channels, _tile):
        return [Input(kind, "2x37x53", [make_batch(kind, 2, 37, 53, channels)]) for kind in ("photograph", "noise")]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gpu_checks.prepare.make_inputs", few)
        sizes = prepare(
            folder, {"tiny": Checkpoint.of("pnen", model, training={"tile": 48, "tile_step": 40})}, whole=((60, 90),)
        )
    assert sizes == {path.name: path.stat().st_size for path in folder.glob("tiny.*")}
    return folder, model
