"""Simulated half precision against PyTorch's own."""

import pytest
import torch

from pnen_export.deploy import Deployed
from pnen_export.rounding import rounded, stored_in_half


@pytest.mark.parametrize("name", ["pyramid", "wang", "without block", "djf", "ceilnet", "resnet", "rdn", "memnet",
                                  "adjustable", "adjustable thirds", "quarters"])  # fmt: skip
def test_errs_as_much_as_a_network_in_half(network, given, name):
    model = network(name)
    x = given(model, 1, 16, 16)
    half, simulated = Deployed(model, "fp16"), Deployed(model, "fp16").float()
    with torch.inference_mode():
        exact, real, unrounded = model(*x)[-1], half(*x), simulated(*x)
        with stored_in_half(simulated.network):
            found = simulated(*x)
    error, expected = (found - exact).square().mean().sqrt(), (real - exact).square().mean().sqrt()
    assert 0.5 * expected < error < 2 * expected
    assert not torch.equal(found, unrounded)


@pytest.mark.parametrize("name", ["pyramid", "without block", "adjustable"])
def test_every_layer_gives_half_values(network, given, name):
    model = network(name)
    deployed, seen = Deployed(model, "fp16").float(), []
    with stored_in_half(deployed.network), torch.inference_mode():
        for path, layer in deployed.network.named_modules():
            if path and next(layer.children(), None) is None:
                layer.register_forward_pre_hook(
                    lambda _, inputs: seen.extend(part.clone() for part in inputs if part is not None)
                )
                layer.register_forward_hook(lambda _, _inputs, output: seen.append(output.clone()))
        deployed(*given(model, 1, 16, 16))
    assert len(seen) > 20
    assert all(torch.equal(part, rounded(part)) for part in seen)


def test_what_half_cannot_hold_is_infinite():
    assert rounded(torch.tensor([65504.0, 70000.0, 1e-9])).tolist() == [65504.0, float("inf"), 0.0]


def test_leaves_the_network_as_it_was(network):
    deployed, x = Deployed(network()), torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        before = deployed(x)
        with stored_in_half(deployed.network):
            assert not torch.equal(deployed(x), before)
        assert torch.equal(deployed(x), before)
