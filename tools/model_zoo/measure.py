"""All that is measured of a bundled model by its exported file, for its record."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.machine import processor

from pnen_runtime.backends.ort import OrtBackend
from pnen_runtime.errors import UsageError
from pnen_runtime.image import read_rgb
from pnen_train.commands.options import pairs_of, scored_tasks
from pnen_train.prepare import reduced
from pnen_train.targets import find_images, spread
from pnen_train.tasks import of_strength, task_of

from .flat import flat_colours
from .imitation import Image, Imitation
from .scores import at_noise, at_strengths, do_nothing, filter_seconds, on_pairs, score
from .tiles import chosen, seams

FILTERED = 3  # photographs on which the filter itself is timed


@dataclass(frozen=True)
class Pictures:
    """The photographs that a model is scored on, and the held-out ones, on which alone its tile is chosen."""

    scored: Path
    held_out: Path
    most: int | None = None  # of those to score on, spread evenly; all of them

    def __post_init__(self) -> None:
        scored = {path.read_bytes() for path in find_images([self.scored])}
        for path in find_images([self.held_out]):
            if path.read_bytes() in scored:
                raise UsageError(f"{path}: expected other photographs to choose the tile on than those of "
                                 f"{name_of(self.scored)} to score on, got it for both")  # fmt: skip


def name_of(folder: Path) -> str:
    """The folder as records call it, such as BSDS500/val."""
    return "/".join(folder.resolve().parts[-2:])


def held_out_images(folder: Path) -> list[Image]:
    """The photographs of a folder, large ones reduced as those to train on are."""
    return [reduced(read_rgb(path)) for path in find_images([folder])]


def measured(record: dict[str, Any], file: Path, pictures: Pictures, some: int, study_images: int) -> dict[str, Any]:
    """The record with the tile, chosen on `study_images` of the held-out pictures, and all figures of the ONNX file.

    At strengths other than its own default an adjustable network is scored on `some` of the photographs. All seconds
    are of the CPU, in one thread, for an image.
    """
    backend = OrtBackend(file, threads=1)
    try:
        network = Imitation(backend, record["task"])
        held = held_out_images(pictures.held_out)
        studied = spread(held, study_images)
        rows, best = chosen(network, studied)
        default = task_of(of_strength(record["task"]))
        paths = find_images([pictures.scored])
        pairs = pairs_of(default.scored, default.name, spread(paths, pictures.most or len(paths)))
        images = [image for image, _ in pairs]
        names, maker = [name_of(pictures.scored), name_of(pictures.held_out)], network.maker(network.default)
        scores = on_pairs(network, best, pairs, names[0])
        seconds = filter_seconds(maker, spread(images, FILTERED))
        other = on_pairs(network, best, network.pairs(held, network.default), names[1])
        found = {
            "tile": best.tile,
            "tile_step": best.step,
            "tile_study": [{"tile": row.tile, "step": row.step, "psnr": row.scores.psnr, "seam": row.seam,
                            "cpu_seconds": row.scores.seconds} for row in rows],
            "study": {"on": names[1], "images": len(studied),
                      "filter_seconds": filter_seconds(maker, studied[:FILTERED]),
                      "nothing_psnr": score(do_nothing, network.pairs(studied, network.default)).psnr},
            "scores": {"on": names[0], "tile": best.tile, "tile_step": best.step, "blend": network.blend, **scores}
            | ({"limit": len(pairs)} if len(pairs) < len(paths) else {}),
            "held_out": {"on": names[1], "gain_difference": gain(other) - gain(scores), **other},
            "cpu": {"processor": processor(), "runtime": f"ONNX Runtime {version('onnxruntime')}", "threads": 1,
                    "filter_seconds": seconds, "filter_images": min(FILTERED, len(images))},
            "noise": {"on": names[1], **at_noise(network, best, held)},
            "flat": flat_colours(network, best),
            "seam": seams(network, best, held),
        }  # fmt: skip
        if network.default is not None:
            strengths = [strength for strength in scored_tasks(record, None, []) if strength is not None]
            for key, name, few in (("scores", names[0], spread(images, some)), ("held_out", names[1], held)):
                found[key]["strengths"] = at_strengths(network, best, few, strengths, name)
        return record | found
    finally:
        backend.close()


def gain(scores: dict[str, Any]) -> float:
    """dB above doing nothing."""
    nothing, network = scores["rows"].values()
    return float(network["psnr"] - nothing["psnr"])
