"""The deployed network against the trained one."""

import pytest
import torch
from torch import nn

from pnen_export.deploy import Deployed
from pnen_train.models.pnb import PyramidNonLocal

NAMES = ["pyramid", "wide keys", "wang", "last stage only", "without block", "grey", "tiling", "djf", "ceilnet",
         "ceilnet_single", "resnet", "rdn", "memnet", "adjustable", "adjustable thirds", "adjustable halves",
         "adjustable pixels", "quarters", "equivariant"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("equal_heads", [False, True])
def test_gives_the_final_image_of_the_trained_network(network, given, name, equal_heads):
    model = network(name)
    x = given(model)
    with torch.inference_mode():
        torch.testing.assert_close(Deployed(model, equal_heads=equal_heads)(*x), model(*x)[-1], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_no_norm_and_no_trained_block_is_left(network, name):
    modules = list(Deployed(network(name)).modules())
    assert not any(isinstance(module, (nn.BatchNorm2d, PyramidNonLocal)) for module in modules)


@pytest.mark.parametrize("name", ["rdn", "memnet"])
def test_attention_shows_in_the_pictures_that_are_compared(network, name):
    model, x = network(name), torch.rand(1, 1, 37, 53)
    with torch.inference_mode():
        expected = model(x)[-1]
        for block in model.modules():
            if isinstance(block, PyramidNonLocal):
                for weight in block.query.parameters():
                    weight.zero_()
        assert (model(x)[-1] - expected).abs().max() > 0.02


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_errs_little_and_gives_single_precision(network, given, name):
    model = network(name)
    x = given(model, 1, 16, 19)
    with torch.inference_mode():
        result = Deployed(model, "fp16")(*x)
        torch.testing.assert_close(result, model(*x)[-1], atol=2 / 255, rtol=0)
    assert result.dtype == torch.float32


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_trained_network_is_not_touched(network, precision):
    model = network()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    Deployed(model.train(), precision, equal_heads=True)
    assert model.training
    assert all(weight.requires_grad for weight in model.parameters())
    torch.testing.assert_close(dict(model.state_dict()), before)


def test_half_precision_is_in_every_layer_and_not_in_the_sum_of_the_exits(network):
    deployed = Deployed(network(), "fp16")
    types = {name: weight.dtype for name, weight in deployed.named_parameters()}
    assert types.pop("network.output_weights") == torch.float32
    assert set(types.values()) == {torch.float16}


def test_image_passes_a_half_network_unrounded(network):
    model = network(init="identity", stages=1)
    for leave in model.exits:
        nn.init.zeros_(leave[-1].weight)
    nn.init.ones_(model.output_weights)
    x = torch.rand(1, 3, 20, 30)
    with torch.inference_mode():
        result = Deployed(model, "fp16")(x)
    assert result.dtype == torch.float32
    assert torch.equal(result, x)
