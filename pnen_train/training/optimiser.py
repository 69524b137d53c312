"""The optimiser of a recipe, and what it keeps of each weight when a run goes on."""

from typing import Any

import torch
from torch import nn

from ..config import Recipe
from .muon import Muon

MOMENTS = {
    "adam": {"step", "exp_avg", "exp_avg_sq"},
    "sgd": {"momentum_buffer"},
    "muon matrices": {"mean"},
    "muon": {"mean", "square", "count"},
}  # that an optimiser keeps of weights once it has moved them
COUNTS = ("step", "count")  # of them, of all values of the weights together


def optimiser_of(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """Before its first step, for the weights of the model."""
    s = recipe.optimiser
    if s.method == "muon":
        return Muon(model, s.learning_rate, s.weight_decay)
    common: dict[str, Any] = {"lr": s.learning_rate, "weight_decay": s.weight_decay, "fused": True}
    if s.method == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=0.9, **common)
    return torch.optim.Adam(model.parameters(), **common)


def take_moments(optimiser: torch.optim.Optimizer, kept: dict[str, Any]) -> None:
    """Take the moments as they were kept, and nothing else: the settings are the recipe's.

    Raises ValueError where one is missing or of another shape than its weights: the next step would end in the middle.
    """
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimiser.param_groups]
    optimiser.load_state_dict(kept)
    for group, own in zip(optimiser.param_groups, settings, strict=True):
        group.update(own)
        names = MOMENTS["muon matrices" if own.get("matrices") else type(optimiser).__name__.lower()]
        for weight in group["params"]:
            state = optimiser.state.get(weight, {})
            if state and state.keys() != names:
                raise ValueError(f"{' and '.join(state) or 'nothing'} where {' and '.join(names)} belong")
            for name, moment in state.items():
                shape = () if name in COUNTS else weight.shape
                if not (moment is None or (isinstance(moment, torch.Tensor) and moment.shape == shape)):
                    raise ValueError(f"{name} is no moment of weights of shape {tuple(weight.shape)}")
