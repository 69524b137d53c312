"""What an optimiser kept of its weights is all there when a run goes on, or the run is refused."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from pnen_train.config import read_recipe
from pnen_train.training.optimiser import optimiser_of, take_moments

METHODS = ("adam", "sgd", "muon")


def moved(method):
    """An optimiser after a step, for matrices and vectors, and the same one before it."""
    recipe = read_recipe("pnen-small", [f"optimiser.method={method}"])
    model = nn.Sequential(nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16))
    optimiser = optimiser_of(recipe, model)
    model(torch.rand(1, 16, 8, 8)).square().sum().backward()
    optimiser.step()
    return optimiser.state_dict(), optimiser_of(recipe, model)


@pytest.mark.parametrize("method", METHODS)
def test_moments_come_back_as_they_were(method):
    kept, fresh = moved(method)
    take_moments(fresh, deepcopy(kept))
    for number, state in kept["state"].items():
        for name, value in state.items():
            torch.testing.assert_close(fresh.state_dict()["state"][number][name], value)
    take_moments(fresh, fresh.state_dict() | {"state": {}})  # as before the first step


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("damage", ["missing", "renamed", "scalar", "longer", "too many"])
def test_moments_that_no_step_can_take_are_refused(method, damage):
    kept, fresh = moved(method)
    for number in kept["state"]:
        for name in kept["state"][number]:
            odd = deepcopy(kept)
            state = odd["state"][number]
            value = state.pop(name)
            if damage == "renamed":
                state[name + "x"] = value
            elif damage == "scalar":
                state[name] = value.sum() if value.ndim else value[None]
            elif damage == "longer":
                state[name] = torch.cat([torch.atleast_1d(value)] * 2)
            elif damage == "too many":
                state |= {name: value, "more": value}
            if not state:
                continue  # as of a weight that no step has moved
            with pytest.raises((ValueError, KeyError), match="where .* belong|is no moment|step"):
                take_moments(fresh, odd)
