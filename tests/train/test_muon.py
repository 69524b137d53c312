"""Muon, against PyTorch's own on matrices and PyTorch's Adam on all else."""

import pytest
import torch
from torch import nn

from pnen_train.training.muon import MOMENTUM, STEP, Muon, orthogonal


@pytest.mark.parametrize("shape", [(20, 30), (30, 20)])
def test_singular_values_become_about_one(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape) * torch.logspace(-1, 1, shape[1])
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.3 and values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(orthogonal(matrix).flatten(), (left @ right).flatten(), 0) > 0.95


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_kernels_move_as_pytorchs_own_moves_the_same_matrix(layout):
    torch.manual_seed(1)
    network = nn.Conv2d(16, 20, 3, bias=False).to(memory_format=layout)
    matrix = nn.Parameter(network.weight.detach().clone().flatten(1))
    own, theirs = Muon(network, 1e-2), torch.optim.Muon([matrix], STEP * 1e-2 * (16 * 9) ** 0.5, 0.0, MOMENTUM)
    start = matrix.detach().clone()
    for _ in range(4):
        network.weight.grad = torch.randn(20, 16, 3, 3)
        matrix.grad = network.weight.grad.flatten(1)
        own.step()
        theirs.step()
    moved, expected = network.weight.flatten(1) - start, matrix - start
    assert (moved - expected).norm() < 0.02 * expected.norm()  # theirs rounds to bfloat16


def test_other_weights_move_as_with_adam():
    torch.manual_seed(2)
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 3, 3))
    copies = [nn.Parameter(weight.detach().clone()) for weight in network.parameters()]
    own, adam = Muon(network, 1e-2), torch.optim.Adam(copies, 1e-2)
    for _ in range(5):
        for weight, copy in zip(network.parameters(), copies, strict=True):
            weight.grad = copy.grad = torch.randn_like(weight)
        own.step()
        adam.step()
    for weight, copy in zip(network.parameters(), copies, strict=True):
        torch.testing.assert_close(weight, copy)


def test_it_decays_weights_apart_from_their_gradients():
    network = nn.Conv2d(16, 16, 3)
    before, optimiser = network.weight.detach().clone(), Muon(network, 0.1, weight_decay=0.5)
    network.weight.grad = torch.zeros_like(network.weight)
    optimiser.step()
    torch.testing.assert_close(network.weight, before * 0.95)
