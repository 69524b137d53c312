"""The paper's network at its full size, in every precision and for every target."""

import pytest
import torch

from pnen_export.export import export
from pnen_export.inputs import make_batch, photograph_tiles
from pnen_export.parity import FP16_MAX_ABS, torch_run
from pnen_train.checkpoint import Checkpoint
from pnen_train.models import build


@pytest.fixture(scope="module")
def full_size():
    """Random weights with logits of 14 at most and residuals of 0.1 to 0.25, about as in a trained network."""
    torch.manual_seed(0)
    model = build("pnen", {"init": "author"}).eval()
    with torch.no_grad():
        for block, leave in zip(model.blocks, model.exits, strict=True):
            block.query.weight.mul_(35)
            leave[-1].weight.mul_(10)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("part", ["query", "merge"])
def test_attention_of_that_network_shows_in_its_pictures(full_size, part):
    run, image = torch_run(full_size), make_batch("photograph", 1, 96, 96, 3)
    expected = run(image)
    kept = [getattr(block, part).weight.data for block in full_size.blocks]
    for block in full_size.blocks:  # without queries attention is uniform, without merge there is none
        getattr(block, part).weight.data = torch.zeros_like(getattr(block, part).weight)
    changed = abs(run(image) - expected).max()
    for block, weights in zip(full_size.blocks, kept, strict=True):
        getattr(block, part).weight.data = weights
    assert 0.05 < abs(expected - image).max() < 0.3
    assert changed > 2 * FP16_MAX_ABS


@pytest.mark.slow
def test_full_size_network_with_random_weights_passes_in_both_targets_and_precisions(tmp_path, full_size, monkeypatch):
    monkeypatch.setattr("pnen_export.inputs.SIZES", ((1, 16, 16), (1, 96, 96)))  # for time, as a few small tiles are
    for module in ("inputs", "export"):
        monkeypatch.setattr(f"pnen_export.{module}.photograph_tiles", lambda *of: photograph_tiles(*of)[::13])
    checkpoint = Checkpoint.of("pnen", full_size, training={"tile": 48, "tile_step": 40})
    files = list(export(checkpoint, tmp_path, "pnen", precisions=["fp32", "fp16"]))
    assert len(files) == 4
    for file in files:
        assert 5 < file.card.max_logit < 15
        assert len(file.rows) == 11 and all(row.passed for row in file.rows)
        assert sum(row.size == "1x96x96" for row in file.rows) == 5
        assert file.path.stat().st_size < (5e6 if file.card.precision == "fp16" else 9e6)
