"""One step of training: network and loss as one module, and the optimiser after it."""

import logging
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Optimiser
from ..data.batches import Images, batch_of
from ..data.tasks import noise_of, usual_strength
from ..device import computes_in_bf16
from .loss import flat_places, training_loss
from .processes import ALONE, Processes
from .state import State

log = logging.getLogger("pnen")
SOFT = 5.0  # levels added to σ where errors are weighed by it, or at σ 0 they would count without bound


class Objective(nn.Module):
    """What is made small: inputs and targets, both (B, C, H, W) in [0, 1] → loss, and MSE of the final image.

    An adjustable network takes maps of strengths, (B, 1, H, W), besides; errors are weighed by them, `usual` as 1, each
    with `soft` added. Where `flat_weight` is set, errors in flat places have that weight instead.
    """

    def __init__(self, network: nn.Module, settings: Optimiser, bf16: bool, usual: float = 1.0, soft: float = 0.0):
        super().__init__()
        self.network, self.settings, self.bf16, self.usual, self.soft = network, settings, bf16, usual, soft

    def forward(self, inputs: Tensor, targets: Tensor, *strengths: Tensor) -> tuple[Tensor, Tensor]:
        edges = None
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
            if self.settings.loss == "ceilnet":
                edges, *images = self.network.edges_and_image(inputs)  # type: ignore[operator]
            else:
                images = self.network(inputs, *strengths)
        error = F.mse_loss(images[-1].detach().float(), targets)
        weight: Tensor | float = 1.0
        if strengths:
            weight = ((self.usual + self.soft) / (strengths[0] + self.soft)) ** self.settings.strength_power
        if self.settings.flat_weight:
            everywhere = torch.as_tensor(weight, device=inputs.device)
            weight = torch.where(flat_places(inputs, targets), self.settings.flat_weight, everywhere)
        return training_loss(images, targets, self.settings, edges, weight), error


def objective_of(state: State, device: torch.device, processes: Processes = ALONE) -> nn.Module:
    """The run's objective in its precision; compiled where the recipe says so, and shared by the processes."""
    run = state.recipe.run
    native = run.precision != "fp32" and computes_in_bf16(device)
    if run.precision == "bf16" and not native:
        log.warning("%s has no bfloat16 arithmetic of its own: steps take several times as long as in fp32; "
                    'precision = "auto" in [run] takes what the machine has', device)  # fmt: skip
    bf16 = run.precision == "bf16" or native
    precision = "bf16" if bf16 else "fp32"
    if state.training.get("precision", precision) != precision:
        log.warning("trained in %s so far, on this machine in %s; --set run.precision=... keeps one from the start",
                    state.training["precision"], precision)  # fmt: skip
    state.training["precision"] = precision
    target = state.recipe.target
    usual = usual_strength(target) if target.get("strengths") else 1.0
    objective: nn.Module = Objective(
        state.model, state.recipe.optimiser, bf16, usual, SOFT if "noise" in target else 0.0
    )
    objective = processes.share(objective)
    if run.compile:
        objective.compile()
    return objective


def train_step(
    state: State, images: Images, objective: nn.Module, processes: Processes = ALONE
) -> tuple[Tensor, Tensor]:
    """One step of the optimiser. Returns the loss and the mean square error of the final image, still on the device."""
    recipe, settings = state.recipe, state.recipe.optimiser
    crop, batch = recipe.data.at(state.step, settings.steps)
    drawn = batch_of(images, crop, batch, recipe.run.seed, state.step, noise=noise_of(recipe.target),
                     strengths=recipe.target.get("strengths", ()), rank=processes.rank,
                     processes=processes.count)  # fmt: skip
    rate = state.schedule.rate(state.step)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    loss, error = objective(*drawn)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    most = min(settings.clip_norm or math.inf, (settings.clip_step or math.inf) / rate)
    if math.isfinite(most):
        nn.utils.clip_grad_norm_(state.model.parameters(), most)
    state.optimiser.step()
    state.step += 1
    state.follow()
    return loss.detach(), error
