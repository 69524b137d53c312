"""How near a network is to its filter: PSNR and SSIM, border against inside, strengths, noise, and CPU seconds."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pnen_train.data.filters import filter_image
from pnen_train.data.targets import SMALLEST, Maker, Pair
from pnen_train.evaluation.evaluate import Scores, Smooth, evaluate, mean_scores
from pnen_train.evaluation.study import TileScore
from pnen_train.metrics import levels, psnr
from pnen_train.progress import bar

from .learnt import Image, Learnt, Strength

BORDER = 8  # pixels
NOISE = (0, 3, 6, 12)  # σ in 8-bit levels
NOISY = 4  # pictures

score = partial(evaluate, clock=process_time)


def do_nothing(image: NDArray[Any]) -> NDArray[Any]:
    return image


def on_pairs(network: Learnt, best: TileScore, pairs: Sequence[Pair], name: str) -> dict[str, Any]:
    """Scores at the default strength, what the picture gains that gains least, in dB, and the error in the border
    relative to the inside.
    """
    smooth, results = network.smooth(network.default, best.tile, best.step), []

    def kept(image: NDArray[Any]) -> NDArray[Any]:
        results.append(smooth(image))
        return results[-1]

    with bar(name, len(pairs)) as advance:
        rows = {"doing nothing": score(do_nothing, pairs, network.shave),
                f"{network.backend.card.network}, tile {best.tile}": score(_counted(kept, advance), pairs,
                                                                          network.shave)}  # fmt: skip
    made, inner = [_levels(result) for result in results], slice(network.shave, -network.shave or None)
    ratios = [border_to_inside(result, target) for result, (_, target) in zip(made, pairs, strict=True)]
    gains = [psnr(result[inner, inner], target[inner, inner]) - psnr(_levels(image)[inner, inner], target[inner, inner])
             for result, (image, target) in zip(made, pairs, strict=True)]  # fmt: skip
    return {"images": len(pairs), "rows": {key: cpu_record(found) for key, found in rows.items()},
            "least_gain": min((gain for gain in gains if math.isfinite(gain)), default=None),
            "border": fmean(ratios)}  # fmt: skip


def _levels(image: NDArray[Any]) -> Image:
    return image if image.dtype == np.uint8 else levels(image)


def border_to_inside(result: Image, target: Image) -> float:
    """RMS error in the outer `BORDER` pixels over that of all others; 1 where there is no error at all."""
    error = (result.astype(np.float64) - target) ** 2
    inside = error[BORDER:-BORDER, BORDER:-BORDER]
    outside = (error.sum() - inside.sum()) / (error.size - inside.size)
    return float(np.sqrt(outside / inside.mean())) if inside.any() else 1.0 + bool(outside)


def at_strengths(
    network: Learnt, best: TileScore, images: Sequence[Image], strengths: Sequence[Strength], name: str
) -> dict[str, Any]:
    """Scores at each of the strengths, and their means."""
    nothing, smoothed = [], []
    for strength in strengths:
        pairs = network.pairs(images, strength, f"{name} targets at {strength:g}")
        with bar(f"{name} at {strength:g}", len(pairs)) as advance:
            smooth = _counted(network.smooth(strength, best.tile, best.step), advance)
            nothing.append(score(do_nothing, pairs))
            smoothed.append(score(smooth, pairs))
    rows = [{"strength": strength, "nothing": cpu_record(idle), "network": cpu_record(found)}
            for strength, idle, found in zip(strengths, nothing, smoothed, strict=True)]  # fmt: skip
    means = {key: cpu_record(mean_scores(found)) for key, found in (("nothing", nothing), ("network", smoothed))}
    return {"images": len(images), "rows": rows, "mean": means}


def at_noise(network: Learnt, best: TileScore, images: Sequence[Image]) -> dict[str, Any]:
    """PSNR to the filter of the noisy picture, at the default strength."""
    images, rows = images[:NOISY], []
    for level in NOISE:
        noisy = [with_noise(image, level, seed) for seed, image in enumerate(images)]
        pairs = network.pairs(noisy, network.default, f"targets at noise {level}")
        smoothed = score(network.smooth(network.default, best.tile, best.step), pairs)
        nothing = score(do_nothing, pairs)
        rows.append({"noise": level, "nothing": nothing.record()["psnr"], "psnr": smoothed.record()["psnr"]})
    return {"images": len(images), "rows": rows}


def with_noise(image: Image, level: float, seed: int) -> Image:
    """Gaussian noise of σ = `level` on every pixel and channel, clipped and rounded to 8 bits."""
    noise = np.random.default_rng(seed).normal(0, level, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def filter_seconds(maker: Maker, images: Sequence[Image]) -> float:
    """CPU seconds that the filter itself takes for one of the images."""
    filter_image(images[0][:SMALLEST, :SMALLEST], maker.filter, maker.settings)  # which compiles it
    start = process_time()
    for image in images:
        filter_image(image, maker.filter, maker.settings)  # never from the cache
    return (process_time() - start) / len(images)


def cpu_record(scores: Scores) -> dict[str, Any]:
    """Of scores whose seconds are the CPU's."""
    return {"cpu_seconds" if key == "seconds" else key: value for key, value in scores.record().items()}


def _counted(smooth: Smooth, advance: Callable[[int], None]) -> Smooth:
    """The same function, moving a bar at each image."""
    done = 0

    def run(image: NDArray[Any]) -> NDArray[Any]:
        nonlocal done
        advance(done := done + 1)
        return smooth(image)

    return run
