"""Which tile suits a trained network: its score and its time for whole images and for tiles of several sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from .evaluate import Scores, evaluate, network_smoother
from .targets import Pair

Tile = int | Literal["whole"]
TILES: tuple[tuple[Tile, int | None], ...] = (
    ("whole", None),
    (256, 224),
    (192, 160),
    (128, 96),
    (96, 80),
    (96, 40),
    (64, 48),
)


@dataclass(frozen=True)
class TileScore:
    """Scores with tiles of `tile` pixels a side, every `step` pixels."""

    tile: Tile
    step: int | None
    scores: Scores


def study(
    model: nn.Module,
    pairs: Sequence[Pair],
    tiles: Sequence[tuple[Tile, int | None]] = TILES,
    device: str | torch.device = "cpu",
    shave: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[TileScore]:
    """Score a network on the same pairs with each tile (pixels a side, and pixels from one tile to the next)."""
    rows = []
    for tile, step in tiles:
        scores = evaluate(network_smoother(model, tile, step, device=device), pairs, shave)
        rows.append(TileScore(tile, step, scores))
        progress(len(rows), len(tiles))
    return rows


def recommended(rows: Sequence[TileScore], tolerance: float = 0.02) -> TileScore:
    """Of the tiles within `tolerance` dB of the best tile's PSNR, the fastest.

    Whole images are left out: a card must also fit large pictures.
    """
    tiles = [row for row in rows if row.tile != "whole"]
    best = max(row.scores.psnr for row in tiles)
    return min((row for row in tiles if row.scores.psnr >= best - tolerance), key=lambda row: row.scores.seconds)
