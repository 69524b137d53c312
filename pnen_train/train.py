"""The training loop: one readable pass from recipe and pairs to checkpoints."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from pnen_runtime.errors import PnenError

from .allocator import keep_memory
from .checkpoint import Checkpoint, save_checkpoint
from .config import Recipe
from .data import batch_of
from .device import pick_device
from .evaluate import Scores, evaluate, network_smoother
from .interrupts import held_interrupts
from .loss import training_loss
from .metrics import levels
from .run_folder import RunFolder
from .state import State
from .targets import Pair
from .tasks import task_of

Watch = Callable[[int, float, float], None]  # step, loss, PSNR of the batch in dB
Report = Callable[[int, Scores, float], None]  # step, validation scores, steps per second so far


class Stopped(KeyboardInterrupt):
    """An interrupt that came while training, after all was saved."""


def train(
    recipe: Recipe,
    pairs: Sequence[Pair],
    validation: Sequence[Pair],
    folder: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    watch: Watch = lambda *_: None,
    report: Report = lambda *_: None,
) -> Checkpoint:
    """Train a network by its recipe and leave checkpoints, metrics and pictures in `folder`.

    `pairs` and `validation` hold inputs and targets, as the recipe's task makes them to train on and to score. With
    `resume` the run in `folder` goes on; on the CPU, with the same number of threads, it ends with exactly the weights
    that an uninterrupted run gives. Ctrl-C and SIGTERM save before they end the run, as Stopped. Returns the last
    checkpoint.

    Raises UsageError, CheckpointError, BackendMissing, or PnenError where the loss is not finite any more.
    """
    place, files = pick_device(device), RunFolder(folder)
    if place.type == "cpu":
        keep_memory()
    torch.set_float32_matmul_precision("high" if place.type == "cuda" else "highest")
    state = State.resumed(files.last, recipe, pairs, place) if resume else State.fresh(recipe, pairs, place)
    files.start(recipe, state.step)
    try:
        with held_interrupts() as interrupted:
            save_checkpoint(files.last, state.checkpoint(resumable=True))  # a full disk shows now, not after hours
            while not state.finished:
                began = time.perf_counter()
                loss, error = train_step(state, pairs, place)
                state.seconds += time.perf_counter() - began
                watch(state.step, loss, decibels(error))
                if state.step % recipe.run.evaluate_every == 0 or state.finished:
                    scores, picture = validate(state, validation, place)
                    row = {"step": state.step, "loss": loss, "train_psnr": decibels(float(np.mean(state.errors))),
                           "rate": state.schedule.rate(state.step), "psnr": scores.psnr, "ssim": scores.ssim,
                           "seconds": round(state.seconds, 1)}  # fmt: skip
                    files.note(row, picture)
                    report(state.step, scores, state.step / state.seconds)
                    state.training["validation"], state.errors = scores.record(), []
                    if scores.psnr > state.best:
                        state.best = scores.psnr
                        save_checkpoint(files.best, state.checkpoint(resumable=False))
                stop = interrupted()
                if state.step % recipe.run.checkpoint_every == 0 or state.finished or stop:
                    save_checkpoint(files.last, state.checkpoint(resumable=True))
                if stop:
                    raise Stopped
    except OSError as error:
        error.filename = error.filename or str(folder)  # a full disk does not say which
        raise
    finally:
        files.close()
    return state.checkpoint(resumable=False)


def train_step(state: State, pairs: Sequence[Pair], device: torch.device) -> tuple[float, float]:
    """One step of the optimiser. Returns the loss and the mean square error of the final image."""
    recipe, settings, edges = state.recipe, state.recipe.optimiser, None
    noise = recipe.target.get("noise", 0)
    batch = batch_of(pairs, recipe.data.crop, recipe.data.batch, recipe.run.seed, state.step, noise=noise)
    inputs, targets = (part.to(device, non_blocking=True) for part in batch)
    rate = state.schedule.rate(state.step)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.run.precision == "bf16"):
        if settings.loss == "ceilnet":
            edges, *images = state.model.edges_and_image(inputs)  # type: ignore[operator]
        else:
            images = state.model(inputs)
    loss = training_loss(images, targets, settings, edges)
    value, error = loss.item(), F.mse_loss(images[-1].detach().float(), targets).item()
    if not math.isfinite(value):
        raise PnenError(f"the loss is not finite at step {state.step + 1}; lower learning_rate, or train in fp32")
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    most = min(settings.clip_norm or math.inf, (settings.clip_step or math.inf) / rate)
    if math.isfinite(most):
        nn.utils.clip_grad_norm_(state.model.parameters(), most)
    state.optimiser.step()
    state.step += 1
    state.schedule.saw(value, state.step)
    state.errors.append(error)
    return value, error


def validate(state: State, validation: Sequence[Pair], device: torch.device) -> tuple[Scores, NDArray[np.uint8]]:
    """Scores on the validation pairs, and input, output and target of the first one side by side."""
    state.model.eval()
    smooth = network_smoother(state.model, state.recipe.run.tile, state.recipe.run.tile_step, device=device)
    scores = evaluate(smooth, validation, task_of(state.recipe.target).shave)
    image, target = validation[0]
    shown = (part if part.dtype == np.uint8 else levels(part) for part in (image, smooth(image), target))
    picture = np.concatenate(list(shown), axis=1)
    state.model.train()
    return scores, picture


def decibels(error: float) -> float:
    """PSNR in dB of values in [0, 1] with this mean square error; at most 120."""
    return -10 * math.log10(error + 1e-12)
