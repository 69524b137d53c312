"""The training loop: one readable pass from recipe and pairs to checkpoints."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from pnen_runtime.errors import CheckpointError, UsageError
from pnen_runtime.files import write_text
from pnen_runtime.image import write_image

from .allocator import keep_memory
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .config import Recipe
from .data import batch_of
from .evaluate import Scores, evaluate, network_smoother
from .loss import smoothing_loss
from .models import build
from .schedule import Schedule
from .targets import Pair

Watch = Callable[[int, float, float], None]  # step, loss, PSNR of the batch in dB
Report = Callable[[int, Scores], None]  # step, validation scores


class RunFolder:
    """The files of one run: last.pt (resumable), best.pt, metrics.jsonl, pictures/, TensorBoard's events, recipe.json."""

    def __init__(self, path: Path):
        self.path, self.last, self.best, self.metrics = path, path / "last.pt", path / "best.pt", path / "metrics.jsonl"

    def start(self, recipe: Recipe, step: int) -> None:
        """Make the folder, or make it fit the step at which a run goes on."""
        (self.path / "pictures").mkdir(parents=True, exist_ok=True)
        write_text(self.path / "recipe.json", json.dumps(asdict(recipe), indent=1))
        lines = self.metrics.read_text().splitlines() if self.metrics.exists() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        write_text(self.metrics, "".join(f"{line}\n" for line in kept))

    def note(self, **row: float) -> None:
        """Add a line to the metrics."""
        with self.metrics.open("a") as file:
            file.write(json.dumps(row) + "\n")


def pick_device(wish: str) -> torch.device:
    """ "auto" takes CUDA where there is one; UsageError for a device that is not there."""
    if wish == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wish)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f'expected a device such as auto, cpu or cuda, got "{wish}": {str(error).splitlines()[0]}') from error
    return device


def train(
    recipe: Recipe, pairs: Sequence[Pair], validation: Sequence[Pair], folder: Path, *, device: str = "auto", resume: bool = False,
    watch: Watch = lambda *_: None, report: Report = lambda *_: None,
) -> Checkpoint:  # fmt: skip
    """Train a network by its recipe and leave checkpoints, metrics and pictures in `folder`.

    `pairs` and `validation` hold inputs and targets, (H, W, 3) uint8. With `resume` the run in `folder` goes on, and on the same machine and number of
    threads ends with the weights that an uninterrupted run gives. Returns the last checkpoint. Raises UsageError or CheckpointError.
    """
    files, place = RunFolder(folder), pick_device(device)
    if place.type == "cpu":
        keep_memory()
    torch.manual_seed(recipe.run.seed)
    torch.set_float32_matmul_precision("high" if place.type == "cuda" else "highest")
    name = recipe.network["name"]
    model = build(name, {key: value for key, value in recipe.network.items() if key != "name"})
    model = model.to(place, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.optimiser.learning_rate, fused=True)
    schedule, step, best = Schedule(recipe.optimiser), 0, -float("inf")
    plan = asdict(recipe)
    if resume:
        found = load_checkpoint(files.last)
        state = found.resume
        if state is None or json.loads(state["recipe"]) | {"optimiser": None} != json.loads(json.dumps(plan)) | {"optimiser": None}:
            raise CheckpointError(f"{files.last}: expected a run of the same recipe; take its recipe.json's settings or another --out")
        model.load_state_dict(found.weights)
        optimiser.load_state_dict(state["optimiser"])
        schedule, step, best = Schedule(recipe.optimiser, **state["schedule"]), found.step, state["best"]
    files.start(recipe, step)
    events = SummaryWriter(str(folder), purge_step=step)
    record = {"task": {"filter": recipe.target.filter, **recipe.target.settings}, "crop": recipe.data.crop, "tile": recipe.run.tile, "tile_step": recipe.run.tile_step,
              "recipe": plan, "torch": str(torch.__version__), "device": str(place)}  # fmt: skip
    seconds, losses = time.perf_counter(), []

    def checkpoint(**resume_state) -> Checkpoint:
        return Checkpoint.of(name, model, step=step, training=record, resume=resume_state or None)

    def save() -> None:
        save_checkpoint(
            files.last, checkpoint(optimiser=optimiser.state_dict(), schedule=schedule.state(), best=best, recipe=json.dumps(plan))
        )

    try:
        while step < recipe.optimiser.steps and not schedule.finished:
            inputs, targets = (
                part.to(place, non_blocking=True) for part in batch_of(pairs, recipe.data.crop, recipe.data.batch, recipe.run.seed, step)
            )
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate(step)
            with torch.autocast(place.type, torch.bfloat16, enabled=recipe.run.precision == "bf16"):
                images = model(inputs)
            loss = smoothing_loss(images, targets, recipe.optimiser.deep_supervision)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            step += 1
            value, error = loss.item(), torch.nn.functional.mse_loss(images[-1].detach().float(), targets).item()
            if not np.isfinite(value):
                raise UsageError(f"the loss is not finite at step {step}; lower learning_rate, or train in fp32 (last good: {files.last})")
            schedule.saw(value, step)
            losses.append(error)
            watch(step, value, -10 * np.log10(error + 1e-12))
            if step % recipe.run.evaluate_every == 0 or step == recipe.optimiser.steps:
                model.eval()
                smooth = network_smoother(model, recipe.run.tile, recipe.run.tile_step, device=place)
                scores = evaluate(smooth, validation)
                row = {"step": step, "loss": value, "train_psnr": float(-10 * np.log10(np.mean(losses))), "rate": schedule.rate(step), "psnr": scores.psnr,
                       "ssim": scores.ssim, "seconds": round(time.perf_counter() - seconds, 1)}  # fmt: skip
                files.note(**row)
                for key, number in row.items():
                    events.add_scalar(key, number, step)
                image, target = validation[0]
                picture = np.concatenate([image, smooth(image), target], axis=1)
                write_image(folder / "pictures" / f"{step:07}.png", picture)
                events.add_image("input, output, target", picture, step, dataformats="HWC")
                model.train()
                report(step, scores)
                record["scores"], losses = asdict(scores), []
                if scores.psnr > best:
                    best = scores.psnr
                    save_checkpoint(files.best, checkpoint())
            if step % recipe.run.checkpoint_every == 0:
                save()
    except KeyboardInterrupt:
        save()
        raise
    finally:
        events.close()
    save()
    return checkpoint()
