"""What a network does to colours that nothing should change: flat pictures, a page of text, a screenshot."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pnen_train.data.drawn import draw
from pnen_train.evaluation.study import TileScore

from .learnt import Image, Learnt, Strength

SIDE = 128  # pixels, of a flat picture
NAMED = ((0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0), (0, 255, 0), (0, 0, 255), (220, 20, 20))
COLOURS = (*NAMED, *(tuple(map(int, colour)) for colour in np.random.default_rng(0).integers(0, 256, (5, 3))))
DRAWN, SEEDS = 256, (1000, 1001, 1002)  # pixels of a drawn picture; training draws from seeds far below
WINDOW, LEAST = 5, 64  # pixels: a place is flat where so large a window is; a colour counts from so many flat places


def flat_colours(network: Learnt, best: TileScore) -> list[dict[str, Any]]:
    """Changes in levels at each end of the strengths: centres and all pixels of flat pictures, drawn text and screens.

    Those of drawn pictures are None where the filter itself changes all their flat colours.
    """
    rows = []
    for strength in network.ends:
        smooth = network.smooth(strength, best.tile, best.step)
        changes = [np.abs(smooth(picture).astype(int) - picture) for picture in map(_flat, COLOURS)]
        drawn = {kind: _drawn(network, best, strength, kind) for kind in ("text", "screen")}
        rows.append({"strength": strength, "centre": max(int(change[SIDE // 2, SIDE // 2].max()) for change in changes),
                     "any": max(int(change.max()) for change in changes), **drawn})  # fmt: skip
    return rows


def _flat(colour: tuple[int, ...]) -> Image:
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def _drawn(network: Learnt, best: TileScore, strength: Strength, kind: str) -> float | None:
    smooth, maker = network.smooth(strength, best.tile, best.step), network.maker(strength)
    pictures = [draw(kind, DRAWN, seed) for seed in SEEDS]
    changes = [colour_change(picture, maker.target(picture), smooth(picture)) for picture in pictures]
    return max((change for change in changes if change is not None), default=None)


def colour_change(picture: Image, target: Image, result: Image) -> float | None:
    """The largest mean change, in levels, of a colour in flat areas that the filter leaves alone to 1 level.

    Of each colour and channel the mean over all such places; None where there is no place.
    """
    windows = sliding_window_view(np.pad(picture, ((WINDOW // 2,) * 2,) * 2 + ((0, 0),), "edge"), (WINDOW,) * 2, (0, 1))
    flat = (windows == picture[..., None, None]).all((2, 3, 4))
    places = flat & (np.abs(target.astype(int) - picture).max(axis=2) <= 1)
    colours, which, count = np.unique(picture[places], axis=0, return_inverse=True, return_counts=True)
    change, which = result[places].astype(float) - picture[places], which.reshape(-1)
    means = [np.abs(change[which == number].mean(axis=0)).max() for number in range(len(colours))
             if count[number] >= LEAST]  # fmt: skip
    return float(max(means)) if means else None
