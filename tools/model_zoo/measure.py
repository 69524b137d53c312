"""What is measured of a bundled model: tiles, scores, CPU seconds and the training curve, for its record."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from bench.machine import processor
from numpy.typing import NDArray
from paper.published import TABLE1
from paper.runs import TrainedRun

from pnen_runtime import Smoother
from pnen_runtime.backends.ort import OrtBackend
from pnen_train.evaluate import Scores, Smooth, evaluate
from pnen_train.filters import filter_image
from pnen_train.progress import bar
from pnen_train.study import TILES, Tile, recommended, study
from pnen_train.targets import SMALLEST, Pair, spread

from .recipes import command

DATA = "trained on {} ({} photographs), scored on {} ({})"
LICENCES = {"BSDS500": "the photographs are for non-commercial research and education"}
UNKNOWN = "the licence of the photographs is not recorded"
PUBLISHED = "the full-size PNEN on other photographs (Zhu et al. 2020, Table 1)"
WHOLE_MB = 16_000  # so that whole photographs stay whole
FILTERED = 3  # photographs on which the filter itself is timed

score = partial(evaluate, clock=process_time)


def measured(
    run: TrainedRun, file: Path, pairs: Sequence[Pair], some: Sequence[Pair], trained_on: str, scored_on: str
) -> dict[str, Any]:
    """The record of the run with all that is measured by its ONNX file: tiles on `some` of the pairs, scores on all.

    All seconds are of the CPU, in one thread, for an image.
    """
    backend = OrtBackend(file, threads=1)
    try:
        smoother = partial(in_tiles, backend)
        with bar("tiles", len(TILES)) as advance:
            rows = study(smoother, some, clock=process_time, progress=advance)
        best = recommended(rows)
        with bar("scores", len(pairs)) as advance:
            smooth = _counted(smoother(best.tile, best.step), advance)
            scores = {"doing nothing": score(lambda image: image, pairs),
                      f"{run.checkpoint.network}, tile {best.tile}": score(smooth, pairs)}  # fmt: skip
    finally:
        backend.close()
    task = dict(run.training["task"])
    images = [image for image, _ in spread(pairs, FILTERED)]
    return about(run, len(pairs), trained_on, scored_on) | {
        "tile": best.tile,
        "tile_step": best.step,
        "tile_study": [{"tile": row.tile, "step": row.step, "psnr": row.scores.psnr, "cpu_seconds": row.scores.seconds}
                       for row in rows],
        "scores": {"images": len(pairs), "on": scored_on, "tile": best.tile, "tile_step": best.step, "blend": "feather",
                   "rows": {name: _cpu_record(found) for name, found in scores.items()}},
        "cpu": {"processor": processor(), "runtime": f"ONNX Runtime {version('onnxruntime')}", "threads": 1,
                "filter_seconds": filter_seconds(task.pop("filter"), task, images), "filter_images": len(images),
                "study_images": len(some), "study_nothing_psnr": score(lambda image: image, some).psnr},
    }  # fmt: skip


def about(run: TrainedRun, scored: int, trained_on: str, scored_on: str) -> dict[str, Any]:
    """The record of the run with where it comes from and what the paper reached; what it says already stays."""
    training = dict(run.training)
    folders, images = " and ".join(trained_on.split()), training.get("images", "?")
    training.setdefault("data", DATA.format(folders, images, scored_on, scored))
    training.setdefault("licence", next((LICENCES[name] for name in LICENCES if name in trained_on), UNKNOWN))
    if "reproduce" not in training:
        training["reproduce"] = command(training["recipe"], trained_on, scored_on)
    reached = TABLE1.figures.get(("PNEN", training["task"]["filter"].upper()))
    if reached:
        training.setdefault("published", {"psnr": reached[0], "ssim": reached[1], "of": PUBLISHED})
    if run.seconds is not None:
        training["seconds"] = run.seconds
    return training | ({"curve": rows} if (rows := curve(run)) else {})


def curve(run: TrainedRun) -> list[dict[str, Any]]:
    """Step, validation PSNR in dB and seconds from the start, of each validation up to the checkpoint's step."""
    metrics = run.path.with_name("metrics.jsonl")
    whole_lines = metrics.read_text("utf-8").rpartition("\n")[0].splitlines() if metrics.is_file() else []
    rows = [json.loads(line) for line in whole_lines]
    return [
        {key: row[key] for key in ("step", "psnr", "seconds")}
        for row in rows
        if "psnr" in row and row["step"] <= run.checkpoint.step
    ]


def filter_seconds(name: str, settings: dict[str, Any], images: Sequence[NDArray[np.uint8]]) -> float:
    """CPU seconds that the filter itself takes for one of the (H, W, 3) images."""
    filter_image(images[0][:SMALLEST, :SMALLEST], name, settings)  # which compiles it
    start = process_time()
    for image in images:
        filter_image(image, name, settings)
    return (process_time() - start) / len(images)


def in_tiles(backend: OrtBackend, tile: Tile, step: int | None) -> Smooth:
    """The network of this backend as a function of images."""
    return Smoother("the network", backend=backend, tile=tile, step=step, memory=WHOLE_MB).run


def _cpu_record(scores: Scores) -> dict[str, Any]:
    return {"cpu_seconds" if key == "seconds" else key: value for key, value in scores.record().items()}


def _counted(smooth: Smooth, advance: Callable[[int], None]) -> Smooth:
    """The same function, moving a bar at each image."""
    done = 0

    def run(image: NDArray[Any]) -> NDArray[Any]:
        nonlocal done
        advance(done := done + 1)
        return smooth(image)

    return run
