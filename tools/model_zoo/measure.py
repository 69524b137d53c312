"""All that is measured of a bundled model by its exported file, for its record."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from bench.machine import processor

from pnen_runtime.backends.ort import OrtBackend
from pnen_runtime.errors import UsageError
from pnen_runtime.image import read_rgb
from pnen_train.commands.options import pairs_of, scored_tasks
from pnen_train.data.noise import is_grey
from pnen_train.data.prepare import reduced
from pnen_train.data.targets import Pair, find_images, spread
from pnen_train.data.tasks import of_strength, task_of
from pnen_train.evaluation.study import TileScore

from .flat import flat_colours
from .learnt import Image, Learnt
from .non_local_means import non_local_means
from .scores import at_noise, at_strengths, do_nothing, filter_seconds, on_pairs, score
from .tiles import chosen, seams

FILTERED = 3  # photographs on which the filter itself is timed


@dataclass(frozen=True)
class Pictures:
    """The photographs that a model is scored on, and the held-out ones, on which alone its tile is chosen."""

    scored: Path
    held_out: Path
    most: int | None = None  # of those to score on, spread evenly; all of them
    others: tuple[Path, ...] = ()  # more sets to score on, of a network that imitates no filter

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
        network = Learnt(backend, record["task"])
        held = held_out_images(pictures.held_out)
        studied = spread(held, study_images)
        rows, best = chosen(network, studied)
        paths = find_images([pictures.scored])
        pairs = loaded(network, spread(paths, pictures.most or len(paths)))
        names = name_of(pictures.scored), name_of(pictures.held_out)
        scores = on_pairs(network, best, pairs, names[0])
        other = on_pairs(network, best, network.pairs(held, network.default), names[1])
        found = {
            "tile": best.tile,
            "tile_step": best.step,
            "tile_study": [{"tile": row.tile, "step": row.step, "psnr": row.scores.psnr, "seam": row.seam,
                            "cpu_seconds": row.scores.seconds} for row in rows],
            "study": {"on": names[1], "images": len(studied),
                      "nothing_psnr": score(do_nothing, network.pairs(studied, network.default), network.shave).psnr},
            "scores": {"on": names[0], "tile": best.tile, "tile_step": best.step, "blend": network.blend, **scores}
            | ({"limit": len(pairs)} if len(pairs) < len(paths) else {}),
            "held_out": {"on": names[1], "gain_difference": gain(other) - gain(scores), **other},
            "cpu": {"processor": processor(), "runtime": f"ONNX Runtime {version('onnxruntime')}", "threads": 1},
            "seam": seams(network, best, held),
        }  # fmt: skip
        if "filter" in network.task:
            _beside_the_filter(found, network, best, [image for image, _ in pairs], held, studied)
        else:
            found["others"] = [
                {"on": folder.name} | on_pairs(network, best, loaded(network, find_images([folder])), folder.name)
                for folder in pictures.others
            ]
        if network.default is not None:
            strengths = [strength for strength in scored_tasks(record, None, []) if strength is not None]
            few = [pair["noise" in network.task] for pair in spread(pairs, some)]  # of noisy ones the clean ones
            for key, name, images in (("scores", names[0], few), ("held_out", names[1], held)):
                found[key]["strengths"] = at_strengths(network, best, images, strengths, name)
            if "noise" in network.task:
                found["non_local_means"] = {"on": names[0]} | non_local_means(network, best, few, held, strengths)
        return record | found
    finally:
        backend.close()


def loaded(network: Learnt, paths: Sequence[Path]) -> list[Pair]:
    """What the network is scored on at its default strength; grey pictures in one channel, as a runtime takes them."""
    task = task_of(of_strength(network.task))
    pairs = pairs_of(task.scored, task.name, paths)
    if "scale" in network.task:
        return [(np.clip(image, 0, 1), luma) for image, luma in pairs]  # as the runtime's `Upscaler` does
    if "filter" in network.task:
        return pairs
    return [(image[..., :1], clean[..., :1]) if is_grey(clean) else (image, clean) for image, clean in pairs]


def _beside_the_filter(
    found: dict[str, Any],
    network: Learnt,
    best: TileScore,
    images: Sequence[Image],
    held: Sequence[Image],
    studied: Sequence[Image],
) -> None:
    """Add the seconds that the filter takes, and what both make of noise and of flat colour."""
    maker = network.maker(network.default)
    found["study"]["filter_seconds"] = filter_seconds(maker, studied[:FILTERED])
    found["cpu"] |= {"filter_seconds": filter_seconds(maker, spread(images, FILTERED)),
                     "filter_images": min(FILTERED, len(images))}  # fmt: skip
    found["noise"] = {"on": found["held_out"]["on"], **at_noise(network, best, held)}
    found["flat"] = flat_colours(network, best)


def gain(scores: dict[str, Any]) -> float:
    """dB above doing nothing."""
    nothing, network = scores["rows"].values()
    return float(network["psnr"] - nothing["psnr"])
