"""`pnen-train run`: from a recipe and images to a run folder."""

import json
import math
import re
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic

import click
import torch

from pnen_runtime.commands import Command
from pnen_runtime.errors import CheckpointError, UsageError

from ..checkpoint import load_checkpoint
from ..config import Recipe, override, read_recipe
from ..data.own_filter import with_source
from ..data.targets import SMALLEST, find_images, spread
from ..data.tasks import shown_by, task_of
from ..device import pick_device
from ..evaluation.evaluate import Scores, evaluate, mean_scores
from ..models import count_parameters
from ..progress import bar, say
from ..training.cost import WORTH_MEASURING, Meter, measured, sizes_of, told
from ..training.lock import alone_in
from ..training.processes import joined
from ..training.start import begin_with
from ..training.state import State, build_network
from ..training.train import Stopped, TimeIsUp, at_scored_strengths, train
from .options import FOLDER, SKIP_BAD, THERE, device, pairs_of, skip_bad, usable_of


@click.command(cls=Command)
@click.argument("recipe")
@click.argument("images", nargs=-1, type=THERE)
@click.option(
    "-o", "--out", type=click.Path(file_okay=False, path_type=Path), help="Run folder.  [default: runs/RECIPE]"
)
@click.option("--validation", multiple=True, type=THERE, help="Images to score on, instead of some held out "
              "of IMAGES; of many, as many as the recipe's validation_images, spread evenly.")  # fmt: skip
@click.option("--targets", type=FOLDER, help="Ready targets of all images, named as they are; otherwise the recipe's "
              "task makes them.")  # fmt: skip
@click.option(
    "--set",
    "changes",
    metavar="SECTION.KEY=VALUE",
    multiple=True,
    help="Change the recipe, such as "
    "target.filter=wmf or network.scales=[8]; another network or target begins its section anew.",
)
@click.option("--steps", metavar="STEPS", type=click.IntRange(min=1), help="Instead of the recipe's.")
@click.option("--seed", metavar="NUMBER", type=click.IntRange(min=0), help="Instead of the recipe's.")
@device
@click.option("--threads", metavar="CORES", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]")
@click.option("--max-time", metavar="MINUTES", type=click.FloatRange(min=0, min_open=True), help="Save and stop so "
              "long after the start; --resume goes on.")  # fmt: skip
@click.option("--fit", is_flag=True, help="Set the steps so that warm-up and the whole schedule end with --max-time; "
              "a trial measures the rate. A resumed run keeps them.")  # fmt: skip
@skip_bad
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option("--dry-run", is_flag=True, help="Print all settings, say what the run would cost, and stop; a function "
              "in [target] is read and not run.")  # fmt: skip
def command(
    recipe: str,
    images: tuple[Path, ...],
    out: Path | None,
    validation: tuple[Path, ...],
    targets: Path | None,
    changes: tuple[str, ...],
    steps: int | None,
    seed: int | None,
    device: str,
    threads: int | None,
    max_time: float | None,
    fit: bool,
    skip_bad: bool,
    resume: bool,
    dry_run: bool,
) -> None:
    """Train the network of RECIPE (a TOML file or a name) on the pictures in IMAGES (files or folders).

    Several processes, on one machine or more, share every batch: torchrun --nproc-per-node 2 -m pnen_train.cli run ...
    """
    deadline = monotonic() + 60 * max_time if max_time else math.inf
    if fit and (not max_time or steps):
        wrong = "--steps, which it would change" if steps else "no time to fit a run to"
        raise UsageError(f"expected --max-time MINUTES and no --steps beside --fit, got {wrong}")
    name = "-".join([Path(recipe).stem, *map(_in_a_name, changes)])
    plan = override(read_recipe(recipe, changes), steps=steps, seed=seed)
    folders = (Path(), Path(recipe).parent)  # where a function of the user's is looked for
    if targets is None:
        plan = replace(plan, target=with_source(plan.target, folders))
    network, task = build_network(plan), task_of(plan.target, targets, folders)
    if targets is not None:
        plan = replace(plan, target=shown_by(targets))  # they are learnt from, whatever the recipe names
        task = task_of(plan.target, targets)
    elif "targets" in plan.target:
        raise UsageError(f"{recipe}: its targets are ready ones, {plan.target['targets']}; give them: --targets FOLDER")
    if plan.optimiser.start and not resume:
        begin_with(network, plan.optimiser.start)  # what does not fit shows now, not after the targets
    if threads:
        torch.set_num_threads(threads)
    out = out or Path("runs") / name
    paths, scored = _split(images, validation, plan) if images or not dry_run else ([], [])
    if dry_run:
        settings = asdict(plan)
        settings["network"] |= asdict(network.config)  # type: ignore[call-overload]
        click.echo(json.dumps(settings | {"parameters": count_parameters(network)}, indent=1))
        place = pick_device(device)
        if plan.optimiser.steps >= WORTH_MEASURING:
            say(f"{name}: {told(plan, *measured(plan, sizes_of(scored), place), place)}, beside making targets")
        return
    if resume:
        _first_step(out, resume, plan)  # where there is no run, no folder is made
    with joined(device) as (processes, device), alone_in(out) if processes.leads else nullcontext():
        place = pick_device(device)
        first = _first_step(out, resume, plan)
        least, scale = plan.data.largest, plan.target.get("scale", 1)
        sizes = dict.fromkeys(scored, SMALLEST) | dict.fromkeys(paths, -(-least // scale) * scale)
        good = set(usable_of(sizes, targets, skip=skip_bad, remedy=SKIP_BAD))
        paths, scored = ([path for path in some if path in good] for some in (paths, scored))
        if not paths or not scored:
            raise UsageError(f"expected pictures to train on and to score, got {len(paths)} and {len(scored)} that do")
        with processes.first_before_the_others():  # which then find its targets on disk
            pairs = pairs_of(task.training, task.name, paths, plan.data.largest)
            held = pairs_of(task.scored, task.name, scored)
        origin = "" if validation else f" held out of IMAGES, {scored[0].name} to {scored[-1].name}"
        shared = f" and {processes.count - 1} more" if processes.count > 1 else ""
        idle = mean_scores([evaluate(task.nothing, pairs_at, task.shave, quantise=False)
                            for pairs_at in at_scored_strengths(held, task).values()])  # fmt: skip
        if fit and not resume:
            say(f"{name}: a trial measures how many steps fit into {max_time:g} minutes")

        def begin(state: State) -> None:
            steps = state.recipe.optimiser.steps
            say(f"{name}: {count_parameters(network):,} parameters, {len(pairs)} images, scored on {len(held)}{origin},"
                f" {place}{shared}, step {first} of {steps}{_fit_of(state)}, into {out}")  # fmt: skip
            say(f"{task.nothing_name}: PSNR {idle.psnr:.2f} dB, SSIM {idle.ssim:.4f}")
            say(f"curves and pictures: tensorboard --logdir {out}")
            advance(first, steps)

        def report(step: int, scores: Scores, rate: float) -> None:
            say(f"step {step}: PSNR {scores.psnr:.2f} dB, SSIM {scores.ssim:.4f}, {rate:.3g} it/s")

        try:
            with bar(name, plan.optimiser.steps, "loss {loss:.5f}  PSNR {psnr:.2f}", done=first) as advance:
                last = train(plan, pairs, held, out, device=device, resume=resume, deadline=deadline, fit=fit,
                             processes=processes, begin=begin, report=report, clock=monotonic,
                             seen=Meter(name, [image.shape[:2] for image, _ in held], place),
                             watch=lambda step, loss, psnr: advance(step, loss=loss, psnr=psnr))  # fmt: skip
        except Stopped:
            say(f"saved: {out / 'last.pt'}; go on with the same command and --resume")
            raise
        except TimeIsUp:
            return say(f"time is up, saved: {out / 'last.pt'}; go on with the same command and --resume")
    if last.step == first:
        hint = "another run needs another --out" if plan.fixed_by else "--steps takes it further"
        return say(f"{out}: was finished at step {first} and is as it was; {hint}")
    say(f"written: {out / 'last.pt'}, {out / 'best.pt'}; export it with: pnen-export {out / 'best.pt'}")


def _in_a_name(change: str) -> str:
    """What a changed setting adds to the name of a run: target.filter=wmf adds wmf, network.scales=[2, 4] adds 2_4."""
    return re.sub(r"[^\w.+-]+", "_", change.partition("=")[2]).strip("_") or "none"


def _fit_of(state: State) -> str:
    """What the steps of a fitted run were reckoned from."""
    if not (fitted := state.training.get("fitted")):
        return ""
    costs = fitted["costs"]
    return (f" fitted to {fitted['seconds'] / 60:.3g} minutes ({costs['step']:.3g} s a step, {costs['validation']:.3g} "
            f"s a validation)")  # fmt: skip


def _first_step(out: Path, resume: bool, plan: Recipe) -> int:
    """How far the run in this folder came; UsageError where `--resume` does not fit what is there.

    CheckpointError where the function that makes its targets was changed since.
    """
    there = (out / "last.pt").is_file()
    if resume and not there:
        raise UsageError(f"{out}: expected a run to resume, found no last.pt; start without --resume")
    if there and not resume:
        raise UsageError(f"{out}: holds a run already; add --resume to go on with it, or choose another --out")
    if not there:
        return 0
    found = load_checkpoint(out / "last.pt")
    learnt = found.training.get("task", {})
    before, now = learnt.get("source"), plan.target.get("source")
    if before and now and before != now:
        raise CheckpointError(f"{out}: expected the source of {learnt['function']} with which the run began, got one "
                              "that was changed since; put it back, or begin another run in another --out")  # fmt: skip
    return found.step


def _split(images: tuple[Path, ...], validation: tuple[Path, ...], plan: Recipe) -> tuple[list[Path], list[Path]]:
    """The files to train on and the files to score; without validation images the last tenth is held out."""
    if not images:
        raise UsageError("expected images to train on, got none; name a folder")
    paths, most = find_images(images), plan.run.validation_images
    paths = spread(paths, plan.data.images or len(paths))
    if validation:
        scored, trained = find_images(validation), {path.resolve() for path in paths}
        for path in scored:
            if path.resolve() in trained:
                raise UsageError(f"{path}: expected other images to score than those to train on, got it for both")
        return paths, spread(scored, most)
    if len(paths) < 2:
        raise UsageError(f"{images[0]}: expected at least 2 images, one to train on and one to score; got {len(paths)}")
    held_out = max(1, min(most, len(paths) // 10))
    return paths[:-held_out], paths[-held_out:]
