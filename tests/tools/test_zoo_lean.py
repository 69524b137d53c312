"""Weights to ship: half the bytes, the same network, and one that BatchNorm may still train."""

import numpy as np
import pytest
import torch
from model_zoo.lean import lean

from pnen_export.deploy import Deployed
from pnen_train.checkpoint import load_checkpoint, save_checkpoint

BATCH = torch.from_numpy(np.random.default_rng(0).random((2, 3, 40, 48), np.float32))


@pytest.fixture
def checkpoint(trained, small):
    """With statistics as a training leaves them."""
    found = load_checkpoint(trained("mine", **small | {"scales": [], "grid": 2}) / "last.pt")
    random = torch.Generator().manual_seed(1)
    for name, weight in found.weights.items():
        if name.endswith("running_var"):
            weight.copy_(torch.rand(weight.shape, generator=random) * 3 + 0.01)
        if name.endswith("running_mean"):
            weight.copy_(torch.randn(weight.shape, generator=random))
    return found


def test_the_network_stays_what_it_was_but_for_rounding(checkpoint):
    model, made = checkpoint.model(), lean(checkpoint).model()
    with torch.no_grad():
        np.testing.assert_allclose(made(BATCH)[-1], model(BATCH)[-1], atol=2e-3)
        for _ in range(2):  # with the statistics of the batch as well, as training has it
            model.train()
            made.train()
            np.testing.assert_allclose(made(BATCH)[-1], model(BATCH)[-1], atol=4e-3)


def test_what_export_folds_are_numbers_of_16_bits(checkpoint):
    folded = Deployed(lean(checkpoint).model()).state_dict()
    convolutions = [weight for name, weight in folded.items() if weight.dim() == 4 and "dilated" in name]
    assert len(convolutions) > 2
    for weight in convolutions:
        torch.testing.assert_close(weight.half().float(), weight, rtol=0, atol=0)


def test_the_file_is_half_as_large_and_rounding_twice_changes_nothing(checkpoint, tmp_path):
    once = lean(checkpoint)
    twice = lean(once)
    for name, weight in once.weights.items():
        torch.testing.assert_close(twice.weights[name], weight, rtol=0, atol=1e-6 if weight.dim() < 2 else 0)
    assert {weight.dtype for weight in once.weights.values() if weight.dim() > 1} == {torch.float16}
    save_checkpoint(tmp_path / "lean.pt", once)
    assert load_checkpoint(tmp_path / "lean.pt").sha256() == once.sha256()
