"""The figures: what they show is what the network computes."""

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paper.drawing import enlarged, heat
from paper.inside import correlations, features
from PIL import Image

from pnen_runtime.errors import UsageError
from pnen_train.models import build

figures = importlib.import_module("figures")


def network(name="pnen", **settings):
    torch.manual_seed(3)
    model = build(name, settings)
    for parameter in model.requires_grad_(False).parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def by_hand(block, x, number, pixel):
    """The softmax of one pixel written out in float64 from the equation, for 3x3 keys of stride s and padding 1."""
    query = block.query[number] if isinstance(block.query, torch.nn.ModuleList) else block.query
    asked = query.weight[:, :, 0, 0].double().numpy() @ x[:, pixel[0], pixel[1]]
    asked = asked + (query.bias.double().numpy() if query.bias is not None else 0)
    key, scale = block.keys[number], block.scales[number]
    padded, weight = np.pad(x, ((0, 0), (1, 1), (1, 1))), key.weight.double().numpy()
    rows, columns = -(-x.shape[1] // scale), -(-x.shape[2] // scale)
    scores = np.empty((rows, columns))
    for row in range(rows):
        for column in range(columns):
            patch = padded[:, row * scale : row * scale + 3, column * scale : column * scale + 3]
            found = np.einsum("ockl,ckl->o", weight[:, :, : patch.shape[1], : patch.shape[2]], patch)
            scores[row, column] = asked @ (found + (key.bias.double().numpy() if key.bias is not None else 0))
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("pnen", {"channels": 8, "stages": 2, "dilations": [1], "scales": [2, 4, 8], "key_channels": 4}),
        ("rdn", {"image_channels": 3, "channels": 6, "blocks": 2, "dense_layers": 1, "scales": [2, 4],
                 "before": [1, 2], "key_channels": 4}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pixel", [(0, 0), (17, 30), (32, 44)])
def test_a_correlation_map_is_the_softmax_and_sums_to_one(name, settings, pixel, photo):
    model, picture = network(name, **settings), photo("coffee", 33, 45)
    found = correlations(model, picture, pixel)
    blocks = [part for part in model.modules() if type(part).__name__ == "PyramidNonLocal"]
    entering = []
    hooks = [block.register_forward_hook(lambda _, given, __: entering.append(given[0])) for block in blocks]
    with torch.no_grad():
        model(torch.from_numpy(picture.transpose(2, 0, 1)[None] / np.float32(255)))
    for hook in hooks:
        hook.remove()
    assert [(c.block, c.scale) for c in found] == [(b + 1, s) for b in range(2) for s in blocks[0].scales]
    for place, correlation in enumerate(found):
        number, block = place % len(blocks[0].scales), correlation.block - 1
        expected = by_hand(blocks[block], entering[block][0].double().numpy(), number, pixel)
        assert correlation.weights.sum() == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(correlation.weights, expected, atol=1e-4)


def test_features_are_those_around_the_block(photo):
    model, picture = network(channels=8, stages=2, dilations=[1], scales=[4], key_channels=4), photo("coffee")
    x = torch.from_numpy(picture.transpose(2, 0, 1)[None] / np.float32(255))
    with torch.no_grad():
        before = model.dilated[0](model.entry(x))
        after = model.blocks[0](before)
    first = features(model, picture)[0]
    np.testing.assert_allclose(first.before, before[0], atol=1e-5)
    np.testing.assert_allclose(first.after, after[0], atol=1e-5)


def test_a_network_without_blocks_has_nothing_to_show(photo):
    with pytest.raises(UsageError, match="non-local blocks"):
        correlations(network(channels=8, stages=1, dilations=[1], scales=[]), photo("coffee"), (0, 0))


@given(
    stride=st.sampled_from([1, 2, 4, 8]), height=st.integers(16, 40), row=st.integers(0, 4), column=st.integers(0, 4)
)
def test_a_reference_pixel_is_brightest_where_it_lies_in_the_picture(stride, height, row, column):
    reference = np.zeros((-(-height // stride), -(-48 // stride)))
    row = min(row, reference.shape[0] - 1)
    reference[row, column] = 1
    large = enlarged(reference, (height, 48), stride, 0)
    assert large.shape == (height, 48) and large.max() == 1
    assert large[row * stride, column * stride] == 1


def test_heat_grows_brighter():
    light = heat(np.linspace(0, 1, 50)[None]).astype(int).sum(axis=2)[0]
    assert (np.diff(light) >= 0).all()


def test_every_figure_is_drawn(trained, call, small, photo, tmp_path):
    run, out = trained("mine", **small, scales=[4, 8]), tmp_path / "figure.png"
    box = "100,120,40,64"
    done = call("figures", "correlation", run, "coffee", "--box", box, "--pixel", "3,5", "--pixel", "30,60",
                "--out", out, "--width", 64)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert Image.open(out).width == 5 * (64 + 6) + 6, "the picture, and two blocks at two scales"
    assert call("figures", "features", run, "coffee", "--box", box, "--out", out, "--width", 64).exit_code == 0
    picture = tmp_path / "picture.png"
    Image.fromarray(photo("coffee", 40, 64)).save(picture)
    done = call("figures", "crops", picture, run, "--filter", "wmf", "--box", "4,4,20,20", "--out", out, "--width", 64)
    assert done.exit_code == 0, done.output
    assert Image.open(out).width == 5 * (64 + 6) + 6, "picture, input, network, filter, target"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["correlation", "l0", "coffee", "--pixel", "3"], "expected Y,X, got 3"),
        (
            ["correlation", "l0", "coffee", "--box", "0,0,32,32", "--pixel", "32,0"],
            "expected a pixel in 0 to 31,0 to 31",
        ),
        (["crops", "{}", "l0", "--box", "0,0,9,21"], "expected a box inside 20 rows and 20 columns"),
        (["crops", "nothing.png", "l0", "--box", "0,0,9,9"], "nothing.png: No such file"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(words, message, call, tmp_path):
    other = tmp_path / "other.png"
    Image.new("RGB", (20, 20)).save(other)
    result = call("figures", *(word.format(other) for word in words), "--out", tmp_path / "figure.png")
    assert result.exit_code != 0 and message in result.output and not (tmp_path / "figure.png").exists()
