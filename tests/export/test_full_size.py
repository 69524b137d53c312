"""The paper's network at its full size, in every precision and for every target."""

import pytest
import torch

from pnen_export.export import export
from pnen_train.checkpoint import Checkpoint
from pnen_train.models import build


@pytest.mark.slow
def test_full_size_network_with_random_weights_passes_in_both_targets_and_precisions(tmp_path):
    torch.manual_seed(0)
    model = build("pnen", {"init": "author"}).eval()
    checkpoint = Checkpoint.of("pnen", model, training={"tile": 48, "tile_step": 40})  # small tiles, for time
    files = list(export(checkpoint, tmp_path, "pnen", precisions=["fp32", "fp16"]))
    assert len(files) == 4
    for file in files:
        assert len(file.rows) == 21 and all(row.passed for row in file.rows)
        assert file.path.stat().st_size < (5e6 if file.card.precision == "fp16" else 9e6)
