"""Networks: parameter counts, the attention's oracle, sizes, gradients."""

import numpy as np
import pytest
import torch
from torch.profiler import profile

from pnen_runtime.errors import UsageError
from pnen_train.models import MODELS, build, count_parameters
from pnen_train.models.attention import attend
from pnen_train.models.pnb import PyramidNonLocal

SMALL = {"pnen": {"channels": 8, "stages": 2, "scales": [2, 4, 8], "key_channels": 8, "value_channels": 12}}


def small(name, **settings):
    torch.manual_seed(0)
    return build(name, SMALL[name] | {"init": "he"} | settings).eval()


@pytest.mark.parametrize(
    ("settings", "total", "without_norms"),
    [
        ({}, 1_877_068, 1_875_148),  # published 1875k
        ({"scales": ()}, 1_336_396, 1_334_476),  # 1334k, without a block
        ({"scales": (1,)}, 1_520_716, 1_518_796),  # 1519k, block of Wang et al.
        ({"scales": (2,)}, 1_520_716, 1_518_796),
        ({"scales": (4,)}, 1_520_716, 1_518_796),
        ({"scales": (8,)}, 1_520_716, 1_518_796),
        ({"scales": (2, 4)}, 1_698_892, 1_696_972),
        ({"scales": (1,), "block_kernel": 1}, 1_373_260, 1_371_340),
    ],
)
def test_parameter_counts_are_those_of_the_paper(settings, total, without_norms):
    model = build("pnen", settings)
    assert count_parameters(model) == total
    assert count_parameters(model, norms=False) == without_norms


def oracle(block, x):
    """The block from its equation: float64, einsum, explicit patches instead of convolutions."""
    image = x.double().numpy()
    batch, channels, height, width = image.shape
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    theta = block.query.weight.detach().double().numpy()[:, :, 0, 0]
    query = np.einsum("dc,bchw->bdhw", theta, image).reshape(batch, -1, height * width)
    seen = []
    for scale, key, value in zip(block.scales, block.keys, block.values, strict=True):
        tops, lefts = range(0, height, scale), range(0, width, scale)
        patches = np.stack(
            [padded[:, :, t : t + 3, left : left + 3] for t in tops for left in lefts]
        )  # (R, B, C, 3, 3)
        k, v = (np.einsum("dcij,rbcij->brd", conv.weight.detach().double().numpy(), patches) for conv in (key, value))
        logits = np.einsum("bdn,brd->bnr", query, k)
        weights = np.exp(logits - logits.max(2, keepdims=True))
        weights /= weights.sum(2, keepdims=True)
        seen.append(np.einsum("bnr,bre->ben", weights, v))
    merge = block.merge.weight.detach().double().numpy()[:, :, 0, 0]
    return image + np.einsum("ce,ben->bcn", merge, np.concatenate(seen, 1)).reshape(batch, channels, height, width)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 23), (33, 45), (24, 61)])
@pytest.mark.parametrize("scales", [(1,), (4,), (2, 4, 8)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_block_equals_its_equation_at_odd_sizes(height, width, scales, memory_format):
    torch.manual_seed(height)
    block = PyramidNonLocal(6, 4, 5, scales)
    x = torch.randn(2, 6, height, width)
    with torch.no_grad():
        result = block(x.contiguous(memory_format=memory_format))
    np.testing.assert_allclose(result.numpy(), oracle(block, x), atol=2e-5)


@pytest.mark.parametrize(("key_channels", "value_channels"), [(32, 64), (16, 32), (64, 32), (32, 32)])
def test_attention_runs_on_the_fused_kernel(key_channels, value_channels):
    block = PyramidNonLocal(16, key_channels, value_channels, (2, 4))
    with profile() as record:
        block(torch.randn(1, 16, 33, 45)).sum().backward()
    kernels = {event.key for event in record.key_averages()}
    assert "aten::_scaled_dot_product_flash_attention_for_cpu" in kernels
    assert "aten::_scaled_dot_product_flash_attention_for_cpu_backward" in kernels
    assert "aten::_scaled_dot_product_attention_math" not in kernels


def test_attention_in_bfloat16_holds_the_scores_of_small_pictures_only(monkeypatch):
    monkeypatch.setattr("pnen_train.models.attention.PLAIN_SCORES", 99 * 30 - 1)
    parts = [torch.randn(1, pixels, 8).bfloat16() for pixels in (99, 30, 30)]
    with profile() as record:
        attend(*parts)
    assert "aten::_scaled_dot_product_flash_attention_for_cpu" in {event.key for event in record.key_averages()}


def test_attention_in_bfloat16_agrees_within_its_precision():
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 99, 8), torch.randn(2, 30, 8), torch.randn(2, 30, 12)
    low = attend(*(part.bfloat16() for part in (query, key, value)))
    np.testing.assert_allclose(low.float().numpy(), attend(query, key, value).numpy(), atol=0.05)


def test_scores_of_a_large_picture_are_never_held_at_once():
    block = PyramidNonLocal(8, 8, 8, (2,)).eval()
    with profile(profile_memory=True) as record, torch.inference_mode():
        block(torch.randn(1, 8, 256, 256))
    scores = 256 * 256 * 128 * 128 * 4
    assert max(event.cpu_memory_usage for event in record.events()) < scores / 50


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (33, 45), (61, 90)])
def test_any_size_keeps_its_size(name, height, width):
    with torch.inference_mode():
        images = small(name)(torch.rand(1, 3, height, width))
    assert {image.shape for image in images} == {(1, 3, height, width)}
    assert all(torch.isfinite(image).all() for image in images)


@pytest.mark.parametrize("name", MODELS)
def test_gradient_reaches_every_parameter(name):
    model = small(name).train()
    sum(image.square().mean() for image in model(torch.rand(2, 3, 24, 32))).backward()
    without = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not without


def test_block_with_zero_merge_is_the_identity():
    block = PyramidNonLocal(6, 4, 5, (2, 8))
    torch.nn.init.zeros_(block.merge.weight)
    x = torch.randn(1, 6, 19, 30)
    torch.testing.assert_close(block(x), x)


def test_network_starts_as_the_identity():
    model = build("pnen", SMALL["pnen"]).eval()
    x = torch.rand(1, 3, 20, 31)
    for image in model(x):
        torch.testing.assert_close(image, x)


def test_final_image_is_the_weighted_sum_of_the_stages():
    model = small("pnen")
    torch.nn.init.normal_(model.output_weights)
    *stages, final = model(torch.rand(1, 3, 20, 24))
    torch.testing.assert_close(final, sum(w * image for w, image in zip(model.output_weights, stages, strict=True)))


def test_without_a_block_the_network_is_translation_equivariant():
    model = small("pnen", scales=[], stages=1, dilations=[1, 2])
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        full, part = model(x)[-1], model(x[:, :, 5:, 3:])[-1]
    torch.testing.assert_close(full[:, :, 5 + 16 : -16, 3 + 16 : -16], part[:, :, 16:-16, 16:-16], atol=1e-5, rtol=1e-5)


def test_a_block_can_sit_after_chosen_stages():
    model = build("pnen", SMALL["pnen"] | {"stages": 3, "block_stages": [3]})
    assert [type(block).__name__ for block in model.blocks] == ["Identity", "Identity", "PyramidNonLocal"]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("pnem", {}, 'unknown network "pnem"'),
        ("pnen", {"scale": 2}, 'unknown setting "scale"'),
        ("pnen", {"channels": 0}, "channels of at least 1"),
        ("pnen", {"channels": "many"}, "channels"),
        ("pnen", {"block_stages": [4]}, "block_stages between 1 and 3"),
        ("pnen", {"block_kernel": 5}, "block_kernel"),
        ("pnen", {"stages": 10**9}, "at most 64 stages"),
        ("pnen", {"init": "zeros"}, "init"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(name, settings, message):
    with pytest.raises(UsageError, match=message) as error:
        build(name, settings)
    assert "\n" not in str(error.value)
