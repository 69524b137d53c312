"""The block against its equation, its variants, and which kernel its attention runs on."""

import numpy as np
import pytest
import torch
from torch.profiler import profile

from pnen_train.models import count_parameters
from pnen_train.models.attention import attend
from pnen_train.models.pnb import BLOCKS, KERNELS, PyramidNonLocal


def weights_of(convolution):
    """Weight and bias in float64; the bias zero where there is none."""
    weight = convolution.weight.detach().double().numpy()
    return weight, 0.0 if convolution.bias is None else convolution.bias.detach().double().numpy()


def patches_of(image, scale, kernel):
    """What the reference pixels are made of: (B, C, H, W) → (R, B, C, k, k)."""
    height, width = image.shape[2:]
    if kernel == "stride":
        side, mode, ends = scale, "reflect", ((0, -height % scale), (0, -width % scale))
    else:
        side = 2 * scale - 1 if kernel == "2s-1" else kernel
        mode, ends = "constant", ((side // 2, side // 2),) * 2
    padded = np.pad(image, ((0, 0), (0, 0), *ends), mode=mode)
    corners = [(top, left) for top in range(0, height, scale) for left in range(0, width, scale)]
    return np.stack([padded[:, :, top : top + side, left : left + side] for top, left in corners])


def oracle(block, x, kernel=3):
    """The block from its equation: float64, einsum, explicit patches instead of convolutions."""
    image = x.double().numpy()
    batch, channels, height, width = image.shape
    asks = block.query if isinstance(block.query, torch.nn.ModuleList) else [block.query] * len(block.scales)
    seen = []
    for scale, ask, key, value in zip(block.scales, asks, block.keys, block.values, strict=True):
        theta, offset = weights_of(ask)
        query = np.einsum("dc,bcn->bnd", theta[:, :, 0, 0], image.reshape(batch, channels, -1)) + offset
        patches = patches_of(image, scale, kernel)
        (k, v) = (np.einsum("dcij,rbcij->brd", w, patches) + b for w, b in map(weights_of, (key, value)))
        query = query.transpose(0, 2, 1)
        logits = np.einsum("bdn,brd->bnr", query, k)
        weights = np.exp(logits - logits.max(2, keepdims=True))
        weights /= weights.sum(2, keepdims=True)
        seen.append(np.einsum("bnr,bre->ben", weights, v))
    psi, offset = weights_of(block.merge)
    merged = np.einsum("ce,ben->bnc", psi[:, :, 0, 0], np.concatenate(seen, 1)) + offset
    return image + merged.transpose(0, 2, 1).reshape(batch, channels, height, width)


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


@pytest.mark.parametrize(("height", "width"), [(16, 24), (21, 30)])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("query_per_scale", "bias"), [(True, False), (False, True), (True, True)])
def test_variants_equal_their_equation(height, width, kernel, query_per_scale, bias):
    torch.manual_seed(height)
    block = PyramidNonLocal(6, 4, 5, (1, 2, 8), kernel, query_per_scale, bias)
    x = torch.randn(2, 6, height, width)
    with torch.no_grad():
        np.testing.assert_allclose(block(x).numpy(), oracle(block, x, kernel), atol=3e-5)


@pytest.mark.parametrize(
    ("name", "count"),
    [("pnen", 180_224), ("restore", 123_232), ("paper words", 176_128), ("released", 184_768), ("wang", 61_440),
     ("wang 1x1", 12_288)],
)  # fmt: skip
def test_named_blocks_have_the_counts_of_their_sources(name, count):
    assert count_parameters(PyramidNonLocal(64, **BLOCKS[name])) == count


def test_kernels_as_large_as_the_stride_give_the_count_that_the_paper_excludes():
    assert count_parameters(PyramidNonLocal(64, kernel="stride")) == 530_432


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


def test_block_with_zero_merge_is_the_identity():
    block = PyramidNonLocal(6, 4, 5, (2, 8))
    torch.nn.init.zeros_(block.merge.weight)
    x = torch.randn(1, 6, 19, 30)
    torch.testing.assert_close(block(x), x)
