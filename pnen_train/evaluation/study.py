"""Which tile suits a trained network: score, seams and time for whole images and for tiles of several sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from ..data.targets import Pair
from .evaluate import Scores, Smooth, evaluate
from .seams import ALLOWED, seam

Tile = int | Literal["whole"]
TILES: tuple[tuple[Tile, int | None], ...] = (
    ("whole", None),
    (768, 576),
    (512, 320),
    (384, 320),
    (384, 256),
    (384, 192),
    (256, 192),
    (256, 128),
    (192, 144),
    (192, 96),
    (128, 96),
    (96, 40),  # the paper's
)
TOLERANCE = 0.1  # dB below the best tile, which nobody sees; up to that the fastest is recommended


@dataclass(frozen=True)
class TileScore:
    """Scores with tiles of tiles of `tile` pixels every `step`; `seam` in levels, see `pnen_train.evaluation.seams`."""

    tile: Tile
    step: int | None
    scores: Scores
    seam: float = 0.0


def study(
    smoother: Callable[[Tile, int | None], Smooth],
    pairs: Sequence[Pair],
    tiles: Sequence[tuple[Tile, int | None]] = TILES,
    shave: int = 0,
    clock: Callable[[], float] = perf_counter,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[TileScore]:
    """Score what `smoother` makes of each tile (pixels a side, and pixels from one tile to the next) on the same pairs.

    `clock` gives the seconds, as for `evaluate`. The seam is the largest of all pictures.
    """
    rows = []
    for tile, step in tiles:
        smooth, worst = smoother(tile, step), 0.0
        scores = evaluate(smooth, pairs, shave, clock=clock)
        if tile != "whole":
            worst = max(seam(smooth, image, tile, step or tile // 2) for image, _ in pairs)
        rows.append(TileScore(tile, step, scores, worst))
        progress(len(rows), len(tiles))
    return rows


def recommended(rows: Sequence[TileScore], tolerance: float = TOLERANCE, allowed: float = ALLOWED) -> TileScore:
    """Of the tiles that leave no seam and are within `tolerance` dB of the best, the fastest.

    Whole images are left out: a card must also fit large pictures. Where every tile leaves a seam, the one with the
    smallest.
    """
    tiles = [row for row in rows if row.tile != "whole"]
    even = [row for row in tiles if row.seam <= allowed] or [min(tiles, key=lambda row: row.seam)]
    best = max(row.scores.psnr for row in even)
    return min((row for row in even if row.scores.psnr >= best - tolerance), key=lambda row: row.scores.seconds)
