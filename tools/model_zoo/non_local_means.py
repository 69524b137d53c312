"""What a denoiser is held against: the non-local means of scikit-image and OpenCV, told σ, each tuned to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import fmean
from typing import Any

import numpy as np
from skimage.restoration import denoise_nl_means

from pnen_runtime.filters.weighted_median import opencv
from pnen_runtime.noise import estimate_sigma
from pnen_train.data.targets import Pair
from pnen_train.evaluation.study import TileScore
from pnen_train.metrics import levels
from pnen_train.progress import bar

from .learnt import Image, Learnt, Strength
from .scores import cpu_record, score

PIECE = 160  # pixels a side: the centre of each picture to tune on


@dataclass(frozen=True)
class Way:
    """A denoiser, told σ in levels, and the values to try for each of its settings, in units of σ."""

    run: Callable[..., Image]  # picture, σ, settings
    tried: dict[str, tuple[float, ...]]


def of_scikit_image(picture: Image, sigma: float, h: float) -> Image:
    """Patches of 5 pixels in a window of 13, as in its documentation, with its fast mode."""
    clean = denoise_nl_means(picture / 255, 5, 6, h * sigma / 255, fast_mode=True, sigma=sigma / 255, channel_axis=-1)
    return levels(clean)


def of_opencv(picture: Image, sigma: float, h: float, colour: float) -> Image:
    """Patches of 7 pixels in a window of 21, its defaults; `colour` is the filter's strength for chroma."""
    return np.asarray(opencv().fastNlMeansDenoisingColored(picture, None, h * sigma, colour * sigma, 7, 21))


WAYS = {"non-local means of scikit-image": Way(of_scikit_image, {"h": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)}),
        "non-local means of OpenCV": Way(of_opencv, {"h": (0.3, 0.45, 0.6, 0.75, 0.9, 1.1),
                                                     "colour": (0.3, 0.6, 0.9, 1.3, 1.8)})}  # fmt: skip


def non_local_means(
    network: Learnt, best: TileScore, images: Sequence[Image], tune_on: Sequence[Image], sigmas: Sequence[Strength]
) -> dict[str, Any]:
    """Scores of both, tuned for each σ on other pictures; of the network, told σ; and of it estimating σ itself."""
    opencv().setNumThreads(1)
    pieces, rows = [_centre(image) for image in tune_on], []
    for sigma in sigmas:
        pairs, tuning, row = network.pairs(images, sigma), network.pairs(pieces, sigma), []
        with bar(f"non-local means at {sigma:g}", len(WAYS)) as advance:
            for number, (name, way) in enumerate(WAYS.items()):
                settings = tuned(way, tuning, float(sigma or 0))
                found = score(partial(way.run, sigma=float(sigma or 0), **settings), pairs)
                row.append({"name": name, "settings": settings, **cpu_record(found)})
                advance(number + 1)
        told = score(network.smooth(sigma, best.tile, best.step), pairs)
        auto = score(network.smooth("auto", best.tile, best.step), pairs)
        estimates = [estimate_sigma(noisy) for noisy, _ in pairs]
        rows.append({"sigma": sigma, "ways": row, "network": cpu_record(told), "auto": cpu_record(auto),
                     "estimated": [min(estimates), fmean(estimates), max(estimates)]})  # fmt: skip
    return {"images": len(images), "rows": rows}


def tuned(way: Way, pairs: Sequence[Pair], sigma: float) -> dict[str, float]:
    """The settings with the highest mean PSNR."""
    tries = [dict(zip(way.tried, values, strict=True)) for values in product(*way.tried.values())]
    return max(tries, key=lambda settings: score(partial(way.run, sigma=sigma, **settings), pairs).psnr)


def _centre(image: Image) -> Image:
    top, left = (max(0, (side - PIECE) // 2) for side in image.shape[:2])
    return np.ascontiguousarray(image[top : top + PIECE, left : left + PIECE])
