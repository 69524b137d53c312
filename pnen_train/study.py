"""Which tile suits a trained network: its score and its time for whole images and for tiles of several sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from .evaluate import Scores, Smooth, evaluate
from .targets import Pair

Tile = int | Literal["whole"]
TILES: tuple[tuple[Tile, int | None], ...] = (
    ("whole", None),
    (256, 224),
    (256, 192),
    (192, 160),
    (192, 144),
    (128, 112),
    (128, 96),
    (96, 80),
    (96, 40),  # the paper's
    (64, 56),
    (64, 48),
)
TOLERANCE = 0.1  # dB below the best tile, which nobody sees; up to that the fastest is recommended


@dataclass(frozen=True)
class TileScore:
    """Scores with tiles of `tile` pixels a side, every `step` pixels."""

    tile: Tile
    step: int | None
    scores: Scores


def study(
    smoother: Callable[[Tile, int | None], Smooth],
    pairs: Sequence[Pair],
    tiles: Sequence[tuple[Tile, int | None]] = TILES,
    shave: int = 0,
    clock: Callable[[], float] = perf_counter,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[TileScore]:
    """Score what `smoother` makes of each tile (pixels a side, and pixels from one tile to the next) on the same pairs.

    `clock` gives the seconds, as for `evaluate`.
    """
    rows = []
    for tile, step in tiles:
        scores = evaluate(smoother(tile, step), pairs, shave, clock=clock)
        rows.append(TileScore(tile, step, scores))
        progress(len(rows), len(tiles))
    return rows


def recommended(rows: Sequence[TileScore], tolerance: float = TOLERANCE) -> TileScore:
    """Of the tiles within `tolerance` dB of the best tile's PSNR, the fastest.

    Whole images are left out: a card must also fit large pictures.
    """
    tiles = [row for row in rows if row.tile != "whole"]
    best = max(row.scores.psnr for row in tiles)
    return min((row for row in tiles if row.scores.psnr >= best - tolerance), key=lambda row: row.scores.seconds)
