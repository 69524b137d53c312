"""What is particular to each of the networks beside PNEN."""

import numpy as np
import pytest
import torch
from torch import nn

from pnen_train.models import build, count_parameters
from pnen_train.models.ceilnet import Residual, edge_map


def inputs_and_outputs(model, x):
    """What enters and leaves every module, by name."""
    seen = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _, given, made, name=name: seen.__setitem__(name, (given[0], made)))
    with torch.no_grad():
        model(x)
    return seen


def test_djf_takes_the_picture_as_its_guide_and_another_one_where_it_is_given():
    model = build("djf", {"channels": 6, "fused_channels": 6}).eval()
    x, other = torch.rand(2, 1, 3, 20, 17)
    with torch.no_grad():
        assert torch.equal(model(x)[0], model(x, x)[0])
        assert not torch.allclose(model(x)[0], model(x, other)[0])


def test_resnet_adds_at_most_half_the_range():
    model, x = build("resnet", {"channels": 4, "blocks": 1, "tail_channels": 4}).eval(), torch.rand(1, 3, 16, 18)
    nn.init.constant_(model.tail[-2].bias, 50)
    with torch.no_grad():
        torch.testing.assert_close(model(x)[0], x + 0.5)


def test_edge_map_is_the_sum_of_differences_to_the_neighbours():
    image = np.random.default_rng(0).random((2, 3, 5, 7))
    expected = np.zeros((2, 1, 5, 7))
    for row in range(5):
        for column in range(7):
            for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                if 0 <= row + down < 5 and 0 <= column + right < 7:
                    difference = image[:, :, row, column] - image[:, :, row + down, column + right]
                    expected[:, 0, row, column] += np.abs(255 * difference / 100).sum(1) / 2
    np.testing.assert_allclose(edge_map(torch.from_numpy(image)).numpy(), expected, atol=1e-12)


def test_ceilnet_draws_the_picture_with_the_edges_that_it_predicted():
    model, x = build("ceilnet", {"channels": 4, "blocks": 1}).eval(), torch.rand(2, 3, 21, 16)
    seen = inputs_and_outputs(model, x)
    with torch.no_grad():
        edges, image = model.edges_and_image(x)
        torch.testing.assert_close(image, model(x)[0])
    assert edges.shape == (2, 1, 21, 16)
    torch.testing.assert_close(seen["edge_network"][0][:, 3:], edge_map(x))
    torch.testing.assert_close(seen["image_network"][0][:, 3:], edges)
    torch.testing.assert_close(seen["image_network"][0][:, :3] + 115 / 255, x)


def test_ceilnet_alone_predicts_no_edges():
    model, x = build("ceilnet", {"channels": 4, "blocks": 1, "cascade": False}).eval(), torch.rand(1, 3, 17, 16)
    edges, image = model.edges_and_image(x)
    assert edges is None and image.shape == x.shape


@pytest.mark.parametrize("doubled", [False, True])
def test_ceilnet_skips_plainly_or_as_in_fans_code(doubled):
    block, x = Residual(4, bias=True, doubled_skip=doubled).eval(), torch.randn(1, 4, 8, 8)
    nn.init.zeros_(block.body[-1].weight)
    with torch.no_grad():
        torch.testing.assert_close(block(x), 2 * x.clamp(min=0) if doubled else x)


def test_a_block_in_rdn_replaces_the_feature_in_the_chain_and_among_those_that_are_fused():
    settings = {"channels": 4, "dense_layers": 2, "blocks": 4, "scales": [2], "before": [1, 3]}
    model = build("rdn", settings).eval()
    seen = inputs_and_outputs(model, torch.rand(1, 1, 16, 20))
    torch.testing.assert_close(seen["non_local.0"][0], seen["second"][1])
    torch.testing.assert_close(seen["dense.0"][0], seen["non_local.0"][1])
    torch.testing.assert_close(seen["dense.2"][0], seen["non_local.2"][1])
    assert not torch.allclose(seen["non_local.2"][1], seen["dense.1"][1])
    fused = [seen["dense.0"][1], seen["non_local.2"][1], seen["dense.2"][1], seen["dense.3"][1]]
    torch.testing.assert_close(seen["fuse"][0], torch.cat(fused, 1))


@pytest.mark.parametrize("settings", [{"scales": [2], "before": [1, 2]}, {"deeper": True}])
def test_gates_of_memnet_see_the_memory_as_it_was_in_front_of_a_block(settings):
    model = build("memnet", {"channels": 4, "recursions": 2, "blocks": 2} | settings).eval()
    seen = inputs_and_outputs(model, torch.rand(1, 1, 16, 20))
    memory = seen["gates.0"][1]
    assert not torch.allclose(seen["fronts.1"][1], memory)
    torch.testing.assert_close(seen["memories.1"][0], seen["fronts.1"][1])
    torch.testing.assert_close(seen["gates.1"][0], torch.cat((seen["memories.1"][1], seen["entry"][1], memory), 1))


@pytest.mark.parametrize("shared", [False, True])
def test_recursions_of_memnet_share_convolutions_and_have_norms_of_their_own_unless_told(shared):
    def parameters(recursions, norms):
        model = build("memnet", {"channels": 4, "recursions": recursions, "blocks": 1, "norms_shared": shared})
        return count_parameters(model.memories[0], norms=norms)

    assert parameters(3, norms=False) == parameters(1, norms=False) == 2 * 9 * 16
    assert parameters(3, norms=True) - parameters(1, norms=True) == (0 if shared else 2 * 2 * 8)


def test_recursion_of_memnet_equals_its_formula():
    model = build("memnet", {"channels": 4, "recursions": 3, "blocks": 1}).eval().memories[0]
    for norm in model.norms:
        nn.init.normal_(norm.bias)
    x = torch.randn(1, 4, 9, 9)
    first, second = model.convolutions
    with torch.no_grad():
        states, h = model(x).chunk(3, dim=1), x
        for recursion, state in enumerate(states):
            norms = model.norms[2 * recursion], model.norms[2 * recursion + 1]
            h = h + second(norms[1](first(norms[0](h).clamp(min=0))).clamp(min=0))
            torch.testing.assert_close(state, h)


def test_final_image_of_memnet_is_the_weighted_sum():
    model = build("memnet", {"channels": 4, "recursions": 1, "blocks": 3}).eval()
    nn.init.normal_(model.output_weights)
    *images, final = model(torch.rand(1, 1, 16, 16))
    assert len(images) == 3
    torch.testing.assert_close(final, sum(w * image for w, image in zip(model.output_weights, images, strict=True)))
