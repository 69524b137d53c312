"""The coarse grid, the strength as an input and the blindness to added constants, against independent forms of each."""

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from pnen_runtime.errors import UsageError
from pnen_runtime.filters.l0_gradients import l0_smooth
from pnen_train.models import build
from pnen_train.models.grid import Entry, to_pixels
from pnen_train.models.size import count_macs, depth

SIDES = st.integers(16, 41)


@cache
def network(**settings):
    """A small adjustable network with weights that do something everywhere."""
    torch.manual_seed(0)
    made = build("pnen", {"channels": 8, "stages": 2, "dilations": [1, 2], "key_channels": 4, "value_channels": 4,
                          "scales": [], "grid": 2, "strengths": [0.002, 0.2]} | settings)  # fmt: skip
    for weight in made.parameters():
        torch.nn.init.normal_(weight, 0, 0.2)
    return made.eval().requires_grad_(False)


def strength_map(value, image):
    return torch.full((len(image), 1, *image.shape[2:]), value)


@given(grid=st.integers(2, 4), height=SIDES, width=SIDES)
@settings(max_examples=25)
def test_the_entry_is_a_3x3_convolution_of_unshuffled_pixels(grid, height, width):
    torch.manual_seed(grid)
    entry, image = Entry(3, 5, grid), torch.rand(2, 3, height, width)
    rows, columns = -(-height // grid), -(-width // grid)
    filled = F.pad(image, (0, columns * grid - width, 0, rows * grid - height), mode="replicate")
    around = F.pad(filled, (grid,) * 4, mode="replicate")
    weight = F.pixel_unshuffle(entry.weight, grid)  # (5, 3·g², 3, 3)
    expected = F.conv2d(F.pixel_unshuffle(around, grid), weight, entry.bias)
    torch.testing.assert_close(entry(image), expected, atol=1e-5, rtol=1e-5)
    assert expected.shape == (2, 5, rows, columns)


@given(grid=st.integers(1, 5), height=SIDES, width=SIDES)
@settings(max_examples=25)
def test_any_size_comes_back_and_pixels_return_to_their_place(grid, height, width):
    image = torch.rand(1, 3, height, width)
    filled = F.pad(image, (0, -width % grid, 0, -height % grid), mode="replicate")
    torch.testing.assert_close(to_pixels(F.pixel_unshuffle(filled, grid), grid, height, width), image)
    made = network(grid=grid)
    assert all(part.shape == image.shape for part in made(image, strength_map(0.02, image)))


@pytest.mark.parametrize("grid", [1, 2, 3])
@pytest.mark.parametrize("scales", [(), (6,)])
def test_an_equivariant_network_adds_an_added_constant(grid, scales):
    made, image = network(grid=grid, scales=scales, equivariant=True), torch.rand(1, 3, 30, 25)
    strength, constant = strength_map(0.05, image), torch.tensor([0.1, -0.2, 0.3])[:, None, None]
    for plain, moved in zip(made(image, strength), made(image + constant, strength), strict=True):
        torch.testing.assert_close(moved, plain + constant, atol=1e-4, rtol=0)
    assert not torch.allclose(made(image, strength)[-1], image, atol=1e-2)


def test_flat_colours_of_every_kind_are_changed_alike_by_an_equivariant_network():
    made = network(equivariant=True)
    flat = torch.rand(5, 3, 1, 1).expand(-1, -1, 24, 24)
    changes = made(flat, strength_map(0.1, flat))[-1] - flat
    torch.testing.assert_close(changes, changes[:1].expand_as(changes), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("scale", "strengths"), [("log", (0.002, 0.2)), ("linear", (0.0, 50.0))])
def test_strength_goes_from_minus_one_to_one_and_no_further(scale, strengths):
    entry, (least, most) = Entry(3, 4, 2, strengths, scale), strengths
    middle = (least * most) ** 0.5 if scale == "log" else (least + most) / 2
    found = entry.encoded(torch.tensor([least, middle, most, most * 9, least / 9]))
    torch.testing.assert_close(found, torch.tensor([-1.0, 0, 1, 1, -1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("equivariant", [True, False])
@pytest.mark.parametrize("power", [0.0, 0.5])
def test_one_strength_can_be_taken_out_of_an_adjustable_network(equivariant, power):
    made, image = network(equivariant=equivariant, contrast_power=power), torch.rand(2, 3, 21, 18)
    fixed = made.at(0.05)
    assert fixed.config.strengths == () and fixed.config.contrast_power == 0
    for one, other in zip(fixed(image), made(image, strength_map(0.05, image)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("power", [0.5, 1.0])
@pytest.mark.parametrize("grid", [1, 2, 3])
def test_contrast_and_strength_go_together(power, grid):
    """f(a·I, a^(1/p)·strength) = a·f(I, strength), for what does not come of the map itself."""
    made, image = deepcopy(network(grid=grid, equivariant=True, contrast_power=power)), torch.rand(1, 3, 24, 22)
    made.entry.weight[:, -1] = 0
    plain = made(image, strength_map(0.02, image))
    for contrast in (0.5, 2.0):
        scaled = made(image * contrast, strength_map(0.02 * contrast ** (1 / power), image))
        for one, other in zip(scaled, plain, strict=True):
            torch.testing.assert_close(one, other * contrast, atol=1e-5, rtol=0)


def test_the_filter_itself_goes_so():
    """L0 minimisation of twice the contrast at four times λ: what `contrast_power = 0.5` rests on."""
    rng = np.random.default_rng(0)
    image = np.cumsum(rng.normal(0, 0.02, (40, 60, 3)), axis=1).astype(np.float32) * 0.3 + 0.5
    once, twice = l0_smooth(image, 0.01), l0_smooth(image * 2, 0.04) / 2
    assert np.abs(image - once).mean() > 10 * np.abs(twice - once).mean()


def test_a_map_is_each_strength_where_it_is_asked_far_from_the_line():
    made, image = network(equivariant=True, dilations=(1,), stages=1), torch.rand(1, 3, 24, 96)
    weak, strong = strength_map(0.002, image), strength_map(0.2, image)
    halves = torch.cat([weak[..., :48], strong[..., 48:]], 3)
    result = made(image, halves)[-1]
    torch.testing.assert_close(result[..., :24], made(image, weak)[-1][..., :24])
    torch.testing.assert_close(result[..., -24:], made(image, strong)[-1][..., -24:])


def test_full_size_pnen_is_unchanged():
    made = build("pnen", {})
    assert made.entry.plain and made.entry.kernel_size == (3, 3) and made.entry.padding == (1, 1)
    assert {name for name in made.state_dict() if name.startswith("entry")} == {"entry.weight", "entry.bias"}
    image = torch.rand(1, 3, 20, 17)
    torch.testing.assert_close(made.entry(image), F.conv2d(image, made.entry.weight, made.entry.bias, padding=1))


@pytest.mark.parametrize("settings", [
    {"grid": 3, "scales": [8]}, {"grid": 0}, {"leak": 1.0}, {"leak": -0.1},
    {"contrast_power": 1.5}, {"strengths": (), "contrast_power": 0.5}, {"grid": 9, "scales": []},
    {"strengths": [0.2]},
    {"strengths": [0.2, 0.1]}, {"strengths": [0, 1]}, {"strength_scale": "root"},
    {"strengths": [-1, 1], "strength_scale": "linear"}, {"strengths": ["a", "b"]},
])  # fmt: skip
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UsageError, match="grid|strength|leak|contrast"):
        build("pnen", settings)


def test_multiplications_are_those_of_a_quarter_of_the_places():
    """Beside the entry (6×6 pixels, 4 channels) and the exits' last layer all is 3×3 on the grid."""
    made = network(equivariant=True)
    inside = 8 * 8 * 9 * (2 * 2 * 2 + 2 * 2)  # two stages of two residuals of two layers, two exits of two layers
    ends = 8 * 4 * 36 + 2 * 8 * 12 * 9
    assert count_macs(made, 20, 30) == 10 * 15 * (inside + ends)
    assert depth(made) == 1 + 2 * 2 * 2 + 3


@pytest.mark.parametrize(("kind", "within"), [(torch.bfloat16, 0.02), (torch.float16, 0.003)])
@pytest.mark.parametrize("power", [0.0, 0.5])
def test_weights_of_16_bits_take_strengths_too(power, kind, within):
    found, image = build_bundled_like(power), torch.rand(1, 3, 24, 32)
    strength = strength_map(0.02, image)
    exact = found(image, strength)[-1]
    rounded = deepcopy(found).to(kind)(image, strength)[-1]
    assert rounded.dtype == torch.float32 and 0 < (rounded - exact).abs().max() < within


def build_bundled_like(power):
    """Weights small enough that rounding alone tells the two apart."""
    made = deepcopy(network(equivariant=True, contrast_power=power))
    for weight in made.parameters():
        weight.mul_(0.3)
    return made
