"""The deployed network against the trained one."""

import pytest
import torch
from torch import nn

from pnen_export.deploy import Deployed
from pnen_train.models.pnb import PyramidNonLocal

NAMES = ["pyramid", "wide keys", "wang", "last stage only", "without block", "grey"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("equal_heads", [False, True])
def test_gives_the_final_image_of_the_trained_network(network, name, equal_heads):
    model = network(name)
    x = torch.rand(2, model.config.image_channels, 37, 53)
    with torch.inference_mode():
        torch.testing.assert_close(Deployed(model, equal_heads=equal_heads)(x), model(x)[-1], atol=2e-5, rtol=1e-5)


def test_no_norm_and_no_trained_block_is_left(network):
    modules = list(Deployed(network()).modules())
    assert not any(isinstance(module, (nn.BatchNorm2d, PyramidNonLocal)) for module in modules)


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
