"""The deployed block against the trained one."""

import pytest
import torch

from pnen_export.block import DeployedBlock
from pnen_train.models.pnb import KERNELS, PyramidNonLocal


@pytest.mark.parametrize("equal_heads", [False, True])
@pytest.mark.parametrize("scales", [(1,), (2, 4, 8)])
@pytest.mark.parametrize(("channels", "key_channels", "value_channels"), [(8, 8, 12), (8, 20, 4), (20, 3, 5)])
def test_merge_in_the_values_and_filled_heads_change_nothing(
    channels, key_channels, value_channels, scales, equal_heads
):
    torch.manual_seed(0)
    block = PyramidNonLocal(channels, key_channels, value_channels, scales).double()
    x = torch.randn(2, channels, 19, 30, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(DeployedBlock(block, equal_heads)(x), block(x), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("equal_heads", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("query_per_scale", "bias"), [(True, True), (True, False), (False, True)])
def test_variants_are_deployed_without_a_change(query_per_scale, bias, kernel, equal_heads):
    torch.manual_seed(0)
    block = PyramidNonLocal(8, 6, 5, (2, 8), kernel, query_per_scale, bias).double()
    x = torch.randn(2, 8, 19, 30, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(DeployedBlock(block, equal_heads)(x), block(x), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(
    ("channels", "key_channels", "width"), [(64, 32, 64), (8, 8, 16), (20, 3, 24), (8, 20, 24), (32, 32, 32)]
)
def test_equal_heads_have_a_width_that_tensorrt_fuses(channels, key_channels, width):
    block = DeployedBlock(PyramidNonLocal(channels, key_channels, 12, (2, 4)), equal_heads=True)
    convolutions = [block.query, *block.keys, *block.values]
    assert {convolution.out_channels for convolution in convolutions} == {width}
    assert {convolution.weight.shape[0] for convolution in convolutions} == {width}


def test_unequal_heads_stay_as_narrow_as_they_were():
    block = DeployedBlock(PyramidNonLocal(16, 6, 12, (2, 4)), equal_heads=False)
    assert [c.out_channels for c in (block.query, *block.keys, *block.values)] == [6, 6, 6, 16, 16]


def test_trained_block_is_not_touched():
    block = PyramidNonLocal(8, 4, 12, (2, 4))
    before = {name: weight.clone() for name, weight in block.state_dict().items()}
    with torch.no_grad():
        for weight in DeployedBlock(block, equal_heads=True).parameters():
            weight.zero_()
    torch.testing.assert_close(dict(block.state_dict()), before)
