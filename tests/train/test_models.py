"""Every network of the registry: sizes, gradients, checkpoints; and what is PNEN's alone."""

import pytest
import torch

from pnen_runtime.errors import CheckpointError, UsageError
from pnen_train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pnen_train.models import MODELS, build

BLOCKS = {"scales": [2, 4], "key_channels": 6, "value_channels": 5, "before": [1, 3]}
SMALL = {
    "pnen": {"channels": 8, "stages": 2, "scales": [2, 4, 8], "key_channels": 8, "value_channels": 12, "init": "he"},
    "djf": {"channels": 7, "fused_channels": 6},
    "ceilnet": {"channels": 6, "blocks": 2},
    "resnet": {"channels": 8, "blocks": 2, "tail_channels": 10},
    "rdn": {"channels": 6, "dense_layers": 2, "blocks": 3} | BLOCKS,
    "memnet": {"channels": 6, "recursions": 2, "blocks": 3, "deeper": True} | BLOCKS,
}


def small(name, **settings):
    torch.manual_seed(0)
    return build(name, SMALL[name] | settings).eval()


def picture(model, batch, height, width):
    return torch.rand(batch, model.config.image_channels, height, width)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (33, 45), (61, 90)])
def test_any_size_keeps_its_size(name, height, width):
    model = small(name)
    x = picture(model, 2, height, width)
    with torch.inference_mode():
        images = model(x)
    assert isinstance(images, tuple)
    assert {image.shape for image in images} == {x.shape}
    assert all(torch.isfinite(image).all() for image in images)


@pytest.mark.parametrize("name", MODELS)
def test_gradient_reaches_every_parameter(name):
    model = small(name)  # in evaluation mode: in training a norm cancels the bias in front of it
    sum(image.square().mean() for image in model(picture(model, 2, 24, 32))).backward()
    without = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not without


@pytest.mark.parametrize("name", MODELS)
def test_checkpoint_gives_the_network_back(tmp_path, name):
    model = small(name)
    save_checkpoint(tmp_path / "model.pt", Checkpoint.of(name, model))
    again, x = load_checkpoint(tmp_path / "model.pt").model(), picture(model, 1, 20, 25)
    assert again.config == model.config
    with torch.inference_mode():
        for image, expected in zip(again(x), model(x), strict=True):
            assert torch.equal(image, expected)


@pytest.mark.parametrize("name", MODELS)
def test_weights_of_other_settings_are_refused_in_one_short_line(name):
    checkpoint = Checkpoint.of(name, small(name))
    first = next(iter(checkpoint.weights))
    checkpoint.weights[first] = torch.zeros(3, 2, 1)
    with pytest.raises(CheckpointError, match=rf"^the weights do not fit network {name}: size mismatch for") as error:
        checkpoint.model()
    assert len(str(error.value)) < 250 and "\n" not in str(error.value)


def test_a_preset_is_its_network_with_its_settings_and_they_can_be_changed():
    model = build("rdn_pnb", {"blocks": 12})
    assert (model.config.scales, model.config.blocks) == ((2, 4, 8), 12)


def test_network_starts_as_the_identity():
    model = small("pnen", init="identity")
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
        ("pnen", {"block_kernel": 1.0}, "block_kernel to be like 3"),
        ("pnen", {"block_bias": 1}, "block_bias to be like False"),
        ("pnen", {"exit_kernel": 2}, "exit_kernel 1 or 3"),
        ("djf", {"channels": 0}, "channels of at least 1"),
        ("djf", {"channels": [8]}, "channels to be like 96"),
        ("ceilnet", {"blocks": 10**4}, "at most 256 blocks"),
        ("resnet", {"blocks": 10**4}, "at most 256 blocks"),
        ("rdn", {"dense_layers": 10**4}, "at most 256 blocks of at most 64 dense_layers"),
        ("rdn", {"scales": [2], "blocks": 10}, "before between 1 and 10"),
        ("memnet", {"recursions": 10**4}, "at most 64 blocks and recursions"),
        ("memnet", {"scales": [0]}, "scales of at least 1"),
        ("pnen", {"stages": 10**4}, "at most 64 stages"),
        ("pnen", {"stages": 10**9}, "stages of at most 65,536, got 1000000000"),
        ("pnen", {"init": "zeros"}, "init"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(name, settings, message):
    with pytest.raises(UsageError, match=message) as error:
        build(name, settings)
    assert "\n" not in str(error.value)
