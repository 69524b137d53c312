"""The largest logit against all of them."""

import numpy as np
import pytest
import torch

from pnen_export import logits
from pnen_export.logits import largest_logit


def test_is_the_largest_of_all_products(network, monkeypatch):
    monkeypatch.setattr(logits, "ROWS", 100)
    model = network()
    tiles = [np.random.default_rng(seed).random((1, 3, 19, 26), np.float32) for seed in range(2)]
    largest = 0.0
    for tile in tiles:
        with torch.inference_mode():
            features = model.entry(torch.from_numpy(tile))
            for dilated, block in zip(model.dilated, model.blocks, strict=True):
                features = dilated(features)
                for key in block.keys:
                    products = torch.einsum("bdn,bdr->bnr", block.query(features).flatten(2), key(features).flatten(2))
                    largest = max(largest, products.abs().max().item())
                features = block(features)
    assert largest_logit(model, tiles) == pytest.approx(largest, rel=1e-5)


def test_a_network_without_a_block_has_none(network):
    assert largest_logit(network("without block"), [np.zeros((1, 3, 16, 16), np.float32)]) is None


def test_leaves_no_hook_behind(network):
    model = network()
    largest_logit(model, [np.zeros((1, 3, 16, 16), np.float32)])
    assert not any(module._forward_pre_hooks for module in model.modules())
