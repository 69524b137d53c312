"""The tile of a network: chosen on held-out pictures, and proven to leave no seam."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import data

from pnen_train.evaluation.seams import ALLOWED, BLOCK, seam
from pnen_train.evaluation.study import TILES, TileScore, recommended, study
from pnen_train.progress import bar

from .learnt import Image, Learnt, Strength

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")  # they come with scikit-image
SEEN = 10  # pictures of the shift test: the held-out ones, and then those of scikit-image


def chosen(network: Learnt, images: Sequence[Image]) -> tuple[list[TileScore], TileScore]:
    """All tiles and the recommended one, scored on these pictures at the default strength.

    Seams are those at the default strength, and where that leaves none also at the highest, whichever is larger;
    pictures that one tile would take are continued by their mirror images.
    """
    pairs = network.pairs(images, network.default, "study targets")
    with bar("tiles", len(TILES)) as advance:
        smoother = partial(network.smooth, network.default)
        rows = study(smoother, pairs, shave=network.shave, clock=process_time, progress=advance)
    if network.ends[-1] == network.default:
        return rows, recommended(rows)
    with bar("seams at the highest strength", len(rows)) as advance:
        for number, row in enumerate(rows):
            advance(number)
            if row.seam <= ALLOWED:
                inputs = _shown(network, images, network.ends[-1])
                rows[number] = replace(row, seam=max(row.seam, _largest(network, row, inputs, network.ends[-1])))
    return rows, recommended(rows)


def seams(network: Learnt, best: TileScore, held_out: Sequence[Image]) -> dict[str, Any]:
    """The shift test at the default and the highest strength: photographs, the rocket's sky, and a gradient."""
    photographs = [*held_out, *(np.ascontiguousarray(getattr(data, name)()) for name in PHOTOGRAPHS)][:SEEN]
    rocket, rows = np.ascontiguousarray(data.rocket()), []
    skies = [rocket, np.ascontiguousarray(rocket[::-1, ::-1])]  # the test leaves out what is near the top and the left
    for strength in dict.fromkeys((network.default, network.ends[-1])):
        seen = _shown(network, photographs, strength)
        sky, even = (
            _shown(network, images, strength, clean=True) for images in (skies, [gradient(2 * int(best.tile))])
        )
        rows.append({
            "strength": strength,
            "photographs": _largest(network, best, seen, strength),
            "sky": _largest(network, best, sky, strength, even=True),
            "gradient": _largest(network, best, even, strength),
        })  # fmt: skip
    return {"images": len(photographs), "rows": rows}


def gradient(side: int) -> Image:
    """A (side, side, 3) picture from a dark colour at the top left to a bright one at the bottom right."""
    way = np.add.outer(np.arange(side), np.arange(side))[..., None] / (2 * side - 2)
    return np.rint(np.array([20, 40, 90]) + way * np.array([180, 170, 140])).astype(np.uint8)


def _shown(network: Learnt, images: Sequence[Image], strength: Strength, clean: bool = False) -> list[NDArray[Any]]:
    """What the network sees of the pictures: noise of this strength on them, or their luma enlarged; `clean` without.

    In noise no part of a sky is even.
    """
    if "filter" in network.task:
        return list(images)
    return [pair[clean] for pair in network.pairs(images, strength)]


def _largest(
    network: Learnt, row: TileScore, images: Sequence[NDArray[Any]], strength: Any, even: bool = False
) -> float:
    if row.tile == "whole":
        return 0.0
    smooth, step = network.smooth(strength, row.tile, row.step), row.step or row.tile // 2
    return max(seam(smooth, enlarged(image, row.tile, step), row.tile, step, even) for image in images)


def enlarged(image: NDArray[Any], tile: int, step: int) -> NDArray[Any]:
    """The picture, continued by its mirror image where it is so small that one tile and a half would take it."""
    least = max(tile, step // 2 + tile - step) + 4 * BLOCK
    more = [max(0, least - side) for side in image.shape[:2]]
    return np.pad(image, ((0, more[0]), (0, more[1]), (0, 0)), "symmetric") if any(more) else image
