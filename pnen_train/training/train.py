"""The training loop: one readable pass from recipe and pairs to checkpoints."""

import math
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pnen_runtime.border import border_of
from pnen_runtime.errors import PnenError, UsageError

from ..checkpoint import Checkpoint, save_checkpoint
from ..config import Recipe
from ..data.batches import on_device
from ..data.targets import Pair
from ..data.tasks import Task, at_each_strength, task_of
from ..device import pick_device
from ..evaluation.evaluate import Scores, evaluate, mean_scores, network_smoother
from ..metrics import levels
from .allocator import keep_memory
from .fit import check_fit, fitted
from .interrupts import held_interrupts
from .processes import ALONE, Processes
from .run_folder import RunFolder
from .state import State
from .step import objective_of, train_step
from .trial import Clock, Parts

Watch = Callable[[int, float, float], None]  # step, loss, PSNR of the batch in dB
Report = Callable[[int, Scores, float], None]  # step, validation scores, steps per second so far
NO_REPORT: Report = lambda *_: None  # noqa: E731
Begin = Callable[[State], None]  # the run between two steps
READ_EVERY, READ_SELDOM = {"cpu": 1}, 20  # steps after which losses are read; a GPU need not wait for each
NOTE_EVERY = 50  # steps: a row of metrics, with the means of these steps


class Stopped(KeyboardInterrupt):
    """An interrupt that came while training, after all was saved; `number` is the signal's."""

    def __init__(self, number: int = signal.SIGINT):
        super().__init__()
        self.number = number


class TimeIsUp(Exception):
    """The deadline passed, and all was saved; the run can go on."""


def train(
    recipe: Recipe,
    pairs: Sequence[Pair],
    validation: Sequence[Pair],
    folder: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    deadline: float = math.inf,
    fit: bool = False,
    processes: Processes = ALONE,
    begin: Begin = lambda *_: None,
    seen: Begin = lambda *_: None,
    watch: Watch = lambda *_: None,
    report: Report = NO_REPORT,
    clock: Clock = time.monotonic,
) -> Checkpoint:
    """Train a network by its recipe and leave checkpoints, metrics and pictures in `folder`.

    `pairs` and `validation` hold inputs and targets, as the recipe's task makes them to train on and to score. With
    `resume` the run in `folder` goes on; on the CPU, with the same number of threads, it ends with exactly the weights
    that an uninterrupted run gives. Ctrl-C, SIGTERM and SIGHUP save before they end the run, as Stopped; so
    does `deadline`, in seconds by `clock`, as TimeIsUp. With `fit` the run gets as many steps as end by then (see
    `.fit`); a resumed one keeps those. Of several `processes` all see the folder, and the first writes.
    Returns the last checkpoint. `begin` is called with the run before the first step, when it can be resumed already;
    `seen` after each.

    Raises UsageError, CheckpointError, BackendMissing, or PnenError where the loss is not finite any more.
    """
    place, files = pick_device(device), RunFolder(folder)
    if fit:
        check_fit(recipe, deadline)
    processes.check_batches(batch=recipe.data.batch)
    if recipe.data.late_share:
        processes.check_batches(late_batch=recipe.data.late_batch)
    smallest = min(min(image.shape[:2]) for image, _ in pairs)
    if smallest < recipe.data.largest:
        raise UsageError(f"expected pictures of at least {recipe.data.largest} pixels a side, as large as a crop, "
                         f"got one of {smallest}; take it out")  # fmt: skip
    if place.type == "cpu":
        keep_memory()
    torch.set_float32_matmul_precision("high" if place.type == "cuda" else "highest")
    state = State.resumed(files.last, recipe, pairs, place) if resume else State.fresh(recipe, pairs, place)
    state.training["processes"] = processes.count
    state.learn()
    images, objective = on_device(pairs, place), objective_of(state, place, processes)
    processes.wait()  # all have read what the first will now write
    if fit and not resume:
        parts = Parts(lambda trial: train_step(trial, images, objective, processes)[0],
                      lambda trial, files: note(trial, {"step": trial.step}, validation, place, files, NO_REPORT),
                      lambda trial: validate(trial, validation[:1], place),
                      validation[0][0].size / sum(image.size for image, _ in validation))  # fmt: skip
        state = fitted(state, parts, folder, deadline, processes, clock)
    elif fit and "fitted" not in state.training:
        raise UsageError(f"{folder}: expected a run that was begun with --fit, got one of {recipe.optimiser.steps} "
                         "steps; leave --fit out")  # fmt: skip
    run, plan, unread = state.recipe.run, state.recipe.optimiser, []
    every = READ_EVERY.get(place.type, READ_SELDOM)
    reading = (every, NOTE_EVERY, run.evaluate_every, run.checkpoint_every, plan.epoch_steps, plan.steps)
    try:
        with held_interrupts() as interrupted:
            if processes.leads:
                files.start(state.recipe, state.step, state.training.get("fitted"))
                save_checkpoint(files.last, state.checkpoint(resumable=True))  # a full disk shows now, not after hours
            begin(state)
            if processes.any(bool(interrupted())):
                raise Stopped(interrupted() or signal.SIGINT)
            while not state.finished:
                began, ends = clock(), (False, False)
                unread.append(train_step(state, images, objective, processes))
                if any(state.step % often == 0 for often in reading):
                    take_in(state, unread, processes, watch)
                    ends = processes.any(bool(interrupted())), processes.any(clock() >= deadline)
                state.seconds += clock() - began
                seen(state)
                evaluated = state.step % run.evaluate_every == 0 or state.finished
                if evaluated or state.step % NOTE_EVERY == 0:
                    row = figures(state)
                    if processes.leads and evaluated:
                        note(state, row, validation, place, files, report)
                    elif processes.leads:
                        files.note(row)
                if processes.leads and (state.step % run.checkpoint_every == 0 or state.finished or any(ends)):
                    save_checkpoint(files.last, state.checkpoint(resumable=True))
                if any(ends) and not state.finished:
                    raise Stopped(interrupted() or signal.SIGINT) if ends[0] else TimeIsUp
    except OSError as error:
        error.filename = error.filename or str(folder)  # a full disk does not say which
        raise
    finally:
        files.close()
    return state.checkpoint(resumable=False)


def take_in(state: State, unread: list[tuple[Tensor, Tensor]], processes: Processes, watch: Watch) -> None:
    """Read loss and error of the last steps off the device, means over all processes, and empty the list."""
    rows = processes.mean(torch.stack([torch.stack(figures) for figures in unread])).tolist()
    for step, (loss, error) in enumerate(rows, state.step - len(rows) + 1):
        if not math.isfinite(loss):
            raise PnenError(f"the loss is not finite at step {step}; lower learning_rate, or train in fp32")
        state.schedule.saw(loss, step)
        state.losses.append(loss)
        state.errors.append(error)
        watch(step, loss, decibels(error))
    unread.clear()


def figures(state: State) -> dict[str, float]:
    """A row of metrics, with means over the steps since the row before; the next row's steps begin."""
    row = {"step": state.step, "loss": fmean(state.losses), "train_psnr": decibels(fmean(state.errors)),
           "rate": state.schedule.rate(state.step), "seconds": round(state.seconds, 1)}  # fmt: skip
    state.losses, state.errors = [], []
    return row


def note(
    state: State,
    row: dict[str, float],
    validation: Sequence[Pair],
    device: torch.device,
    files: RunFolder,
    report: Report,
) -> None:
    """Validate, and keep the figures, with those of training in `row`, and the network where it is the best so far."""
    scores, picture = validate(state, validation, device)
    files.note(row | {"psnr": scores.psnr, "ssim": scores.ssim}, picture)
    report(state.step, scores, state.step / max(state.seconds, 1e-9))
    state.training["validation"] = scores.record()
    if scores.psnr > state.best:
        state.best = scores.psnr
        save_checkpoint(files.best, state.checkpoint(resumable=False))


def at_scored_strengths(validation: Sequence[Pair], task: Task) -> dict[float | None, list[Pair]]:
    """The pairs of the least, middle and most strength that a run is scored at; of one strength, under None."""
    apart = at_each_strength(validation, task)
    known = list(apart)
    return {known[place]: apart[known[place]] for place in (0, len(known) // 2, -1)}


def validate(state: State, validation: Sequence[Pair], device: torch.device) -> tuple[Scores, NDArray[np.uint8]]:
    """Scores on the validation pairs, and input, output and target of the first one side by side.

    Those of an adjustable network are means over its least, middle and most strength.
    """
    state.final.eval()
    run, task, rows = state.recipe.run, task_of(state.recipe.target), []
    apart, border = at_scored_strengths(validation, task), border_of(state.recipe.target)
    for strength in apart:
        smooth = network_smoother(state.final, run.tile, run.tile_step, None, device, strength, border)
        results: list[NDArray[Any]] = []
        rows.append(evaluate(smooth, apart[strength], task.shave, seen=results.append))
        if len(rows) == 1 + (len(apart) > 1):
            (image, target), result = apart[strength][0], results[0]
    scores = mean_scores(rows)
    shown = (part if part.dtype == np.uint8 else levels(part) for part in (image, result, target))
    picture = np.concatenate(list(shown), axis=1)
    state.learn()
    return scores, picture


def decibels(error: float) -> float:
    """PSNR in dB of values in [0, 1] with this mean square error; at most 120."""
    return -10 * math.log10(error + 1e-12)
