"""What a run takes, hours and memory, measured on some of its steps."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from pnen_runtime.errors import ImageError

from ..config import Recipe
from ..data.batches import on_device
from ..data.targets import Pair
from ..data.tasks import channels_of, task_of
from ..progress import say
from .state import State
from .step import objective_of, train_step
from .trial import Clock, Costs

MEASURED = 3.0  # seconds of steps that are measured
SHORT = 60.0  # seconds; of a run that takes less nothing is said
WORTH_MEASURING = 100  # steps
SCORED_AT = 3  # strengths of an adjustable network


class Meter:
    """Says once, after the first steps of a run, what all of it will take; nothing of it is done twice.

    `held` are the sizes, (H, W), of the pictures that it is scored on.
    """

    def __init__(self, name: str, held: Sequence[tuple[int, ...]], device: torch.device):
        self.name, self.held, self.device = name, held, device
        self.began: tuple[int, float] | None = None
        self.told = False

    def __call__(self, state: State) -> None:
        """Take in a step."""
        if self.told or "fitted" in state.training:
            return
        if self.began is None:
            self.began = state.step, state.seconds  # after the first one, which compiles
            return
        steps, seconds = state.step - self.began[0], state.seconds - self.began[1]
        if seconds < MEASURED or not steps:
            return
        self.told, recipe = True, state.recipe
        costs = scaled(recipe, seconds / steps, scoring_seconds(state.final, recipe, self.held, self.device))
        state.learn()
        memory = None if recipe.data.late_share else peak_memory(self.device)
        if costs.of(recipe) >= SHORT:
            say(f"{self.name}: {told(recipe, costs, memory, self.device, self.began[0] - 1)}")


def measured(
    recipe: Recipe, held: Sequence[tuple[int, ...]], device: torch.device, clock: Clock = time.monotonic
) -> tuple[Costs, int | None]:
    """Costs and memory of a run by this recipe, from steps on noise; its network is not kept."""
    side, channels = max(recipe.data.largest, 16), channels_of(recipe.target)
    random, strengths = np.random.default_rng(0), task_of(recipe.target).strengths
    target = random.integers(0, 256, (*[len(strengths)] * bool(strengths), side, side, channels), np.uint8)
    pairs: list[Pair] = [(random.integers(0, 256, (side, side, channels), np.uint8), target)]
    own = replace(recipe, optimiser=replace(recipe.optimiser, start=""), run=replace(recipe.run, compile=False))
    state = State.fresh(own, pairs, device)
    images, objective = on_device(pairs, device), objective_of(state, device)

    def step_seconds() -> float:
        train_step(state, images, objective)[0].item()
        began, steps = clock(), 0
        while not steps or clock() - began < MEASURED / 2:
            train_step(state, images, objective)[0].item()
            steps += 1
        return (clock() - began) / steps

    early, late = step_seconds(), None
    if own.data.late_share:
        state.step = own.optimiser.steps - 1
        late = step_seconds()
    costs = scaled(recipe, early, scoring_seconds(state.final, recipe, held, device))
    return replace(costs, late_step=late or early), peak_memory(device)


def scaled(recipe: Recipe, step: float, validation: float) -> Costs:
    """Costs of a run from the seconds of an early step; later crops by their pixels."""
    data = recipe.data
    larger = data.late_crop**2 * data.late_batch / (data.crop**2 * data.batch) if data.late_share else 1.0
    return Costs(step, step * larger, validation, 0.0)


def scoring_seconds(network: nn.Module, recipe: Recipe, held: Sequence[tuple[int, ...]], device: torch.device) -> float:
    """About what a validation takes: one tile's time for every tile of the pictures."""
    run, adjustable = recipe.run, bool(recipe.target.get("strengths"))
    side = recipe.data.crop if run.tile == "whole" else run.tile
    given = [torch.zeros(1, channels, side, side, device=device)
             for channels in (channels_of(recipe.target), *[1] * adjustable)]  # fmt: skip
    network.eval()
    with torch.inference_mode():
        network(*given)
        began = time.perf_counter()
        float(network(*given)[-1].sum())  # so that a GPU has done it
    overlap = 1.0 if run.tile == "whole" else (side / run.tile_step) ** 2
    times = SCORED_AT if task_of(recipe.target).strengths else 1
    pixels = sum(height * width for height, width in held) * overlap * times
    return (time.perf_counter() - began) * pixels / side**2


def peak_memory(device: torch.device) -> int | None:
    """Bytes that this process held at most so far, on a GPU of its memory; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def told(recipe: Recipe, costs: Costs, memory: int | None, device: torch.device, done: int = 0) -> str:
    """The costs of all steps, or of those after the first `done`, in words."""
    steps = recipe.optimiser.steps
    seconds = costs.of(recipe) * (1 - done / steps)
    time_taken = f"{seconds / 3600:.2g} hours" if seconds >= 3600 else f"{max(1, round(seconds / 60))} minutes"
    held = "" if memory is None else f", {memory / 1e9:.2g} GB of memory"
    return f"{steps - done:,} steps{' more' if done else ''} take about {time_taken}{held} on {device}"


def sizes_of(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """(H, W) of these pictures, by their headers; ImageError where one cannot be read."""
    sizes = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                sizes.append((picture.height, picture.width))
        except (OSError, ValueError, SyntaxError) as error:
            raise ImageError(f"{path}: expected a picture, got something else: {error}") from error
    return sizes
