"""Losses against their formulas, clipping against PyTorch's norm."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pnen_train.config import Optimiser
from pnen_train.data.batches import on_device
from pnen_train.models.ceilnet import CEILNet, CEILNetConfig, edge_map
from pnen_train.training.loss import flat_places, training_loss
from pnen_train.training.state import State
from pnen_train.training.step import Objective, objective_of, train_step


@pytest.fixture
def exits():
    """Three images and a target, in float64."""
    return list(torch.rand(4, 2, 3, 8, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, lambda errors: sum((e**2).mean() for e in errors)),
        ({"mean_of_exits": True}, lambda errors: np.mean([(e**2).mean() for e in errors])),
        ({"deep_supervision": False}, lambda errors: (errors[-1] ** 2).mean()),
        ({"loss": "l1"}, lambda errors: sum(np.abs(e).mean() for e in errors)),
        ({"loss": "l1", "mean_of_exits": True}, lambda errors: np.mean([np.abs(e).mean() for e in errors])),
    ],
)
def test_a_loss_is_its_formula(exits, settings, expected):
    *images, target = exits
    errors = [(image - target).numpy() for image in images]
    assert training_loss(images, target, Optimiser(**settings)).item() == pytest.approx(expected(errors), rel=1e-6)


def test_the_loss_of_ceilnet_is_that_of_its_code_on_pictures_up_to_255(exits):
    image, target, edges, _ = (part.numpy() for part in exits)
    edges = edges[:, :1]
    error = 255 * (image - target)
    across, down = (
        np.abs(error[..., 1:] - error[..., :-1]).mean(),
        np.abs(error[..., 1:, :] - error[..., :-1, :]).mean(),
    )
    expected = 0.2 * (error**2).mean() + 0.4 * across + 0.4 * down
    settings, given = Optimiser(loss="ceilnet"), (exits[0],)
    assert training_loss(given, exits[1], settings).item() == pytest.approx(expected, rel=1e-5)
    own = np.square(edges - edge_map(exits[1]).numpy()).mean()
    found = training_loss(given, exits[1], settings, torch.from_numpy(edges)).item()
    assert found == pytest.approx(expected + 0.4 * own, rel=1e-5)


def test_the_own_loss_of_ceilnet_reaches_every_weight_of_both_its_networks():
    model, image = CEILNet(CEILNetConfig(channels=4, blocks=1)), torch.rand(2, 3, 16, 16)
    edges, result = model.edges_and_image(image)
    training_loss((result,), image, Optimiser(loss="ceilnet"), edges).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize(
    ("clip", "rate"), [({"clip_norm": 1e-3}, 0.5), ({"clip_step": 1e-3}, 0.5), ({"clip_step": 1e-3}, 2.0)]
)
def test_a_clipped_step_is_as_long_as_it_may_be(tiny, pairs, clip, rate):
    recipe = tiny(optimiser={"method": "sgd", "learning_rate": rate, "schedule": "step", **clip})
    state = State.fresh(recipe, pairs, torch.device("cpu"))
    before = [weight.detach().clone() for weight in state.model.parameters()]
    cpu = torch.device("cpu")
    train_step(state, on_device(pairs, cpu), objective_of(state, cpu))
    moved = torch.cat([(a - b).flatten() for a, b in zip(state.model.parameters(), before, strict=True)]).norm().item()
    assert moved == pytest.approx(clip.get("clip_step") or rate * clip["clip_norm"], rel=1e-3)


def test_sgd_has_its_momentum_and_weight_decay(tiny, pairs):
    plan = {"method": "sgd", "weight_decay": 1e-2, "schedule": "step"}
    state = State.fresh(tiny(optimiser=plan), pairs, torch.device("cpu"))
    group = state.optimiser.param_groups[0]
    assert isinstance(state.optimiser, torch.optim.SGD)
    assert (group["momentum"], group["weight_decay"]) == (0.9, 1e-2)
    adam = State.fresh(
        replace(state.recipe, optimiser=Optimiser(weight_decay=1e-3)), pairs, torch.device("cpu")
    ).optimiser
    assert isinstance(adam, torch.optim.Adam) and adam.param_groups[0]["weight_decay"] == 1e-3


def test_errors_weigh_more_where_colour_is_flat_and_stays():
    class Still(torch.nn.Module):
        def forward(self, image):
            return (image + 0.01,)

    inputs = torch.full((1, 3, 20, 20), 0.5)
    inputs[..., 10:] = 0.75
    target = inputs.clone()
    target[..., :8, :] += 0.1  # the filter moves it
    found = flat_places(inputs, target)[0, 0]
    assert found[8:, :8].all() and found[8:, 12:].all() and not found[:8].any() and not found[:, 8:12].any()
    errors = (inputs + 0.01 - target).square().mean((0, 1))
    expected = torch.where(found, 50 * errors, errors).mean()
    loss, error = Objective(Still(), Optimiser(flat_weight=50.0), False)(inputs, target)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert float(error) == pytest.approx(float(errors.mean()), rel=1e-5)  # what is told stays the mean square error


@pytest.mark.parametrize("odd", [0, 1])
def test_one_other_pixel_makes_its_surroundings_no_flat_place(odd):
    inputs = torch.full((1, 3, 11, 11), 0.5)
    inputs[0, odd, 5, 5] += 1 / 255
    found = flat_places(inputs, inputs)[0, 0]
    assert not found[3:8, 3:8].any() and found.sum() == 121 - 25
