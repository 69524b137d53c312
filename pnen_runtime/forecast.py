"""What smoothing a picture of some size will take, said before: tiles, memory, time."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from .border import MARGIN, margin
from .card import Card
from .plan import Plan, fitting_profile, most_at_once, peak_bytes
from .tiles import on_grid, starts

PICTURE = 2 * 3 * 2  # bytes a pixel of picture and result, of 16 bits in colour


@dataclass(frozen=True)
class Forecast:
    """For one picture; `str` of it is one line."""

    tile: int  # pixels a side
    step: int  # pixels from one tile to the next
    tiles: int
    why: str  # this tile
    host_bytes: int  # picture, result and an open band of rows; on a CPU also the network
    gpu_bytes: int | None  # the largest batch and its network; None on a CPU
    seconds: float | None  # as fast as the last run was; None before one

    def __str__(self) -> str:
        gpu = "" if self.gpu_bytes is None else f" and {self.gpu_bytes / 1e6:,.0f} MB on the GPU"
        time = "" if self.seconds is None else f", about {self.seconds:.1f} s"
        return (f"{self.tiles} tiles of {self.tile} at step {self.step} ({self.why}), about "
                f"{self.host_bytes / 1e6:,.0f} MB{gpu}{time}")  # fmt: skip


def tile_pixels(card: Card, plan: Plan, height: int, width: int) -> tuple[int, int]:
    """How many tiles, and how many pixels they have together."""
    height, width = (side + 2 * margin(side, plan.tile, card.border, card.grid) for side in (height, width))
    high, down = on_grid(height, plan.tile, plan.step, card.grid)
    wide, across = on_grid(width, plan.tile, plan.step, card.grid)
    count = len(starts(height, high, down)) * len(starts(width, wide, across))
    return count, count * high * wide


def forecast(
    card: Card, plan: Plan, height: int, width: int, *, gpu: bool, profiles: tuple = (), pace: float | None = None
) -> Forecast:
    """For a picture of this size; `pace` is seconds per pixel of a tile.

    Memory on a CPU is an upper estimate (`plan.peak_bytes`); on a GPU it is what the engine's build said it needs, or
    of ONNX files the same estimate for a batch.
    """
    count, pixels = tile_pixels(card, plan, height, width)
    more = 2 * MARGIN if card.border else 0
    high, wide = min(height + more, plan.tile), min(width + more, plan.tile)
    band = 4 * card.channels * high * width
    host = PICTURE * height * width + band
    on_gpu = None
    if gpu:
        batch = min(most_at_once(profiles, high, wide) if profiles else 8, max(1, ceil(width / max(1, plan.step))))
        on_gpu = PICTURE * height * width + band + 4 * (2 * card.channels + 1) * batch * high * wide
        told = (card.engine.get("built") or {}).get("activation_bytes") or []
        number = fitting_profile(profiles, batch, high, wide) if profiles else None
        known = number is not None and number < len(told)
        on_gpu += told[number] if known else batch * peak_bytes(card, high, wide)  # type: ignore[index]
    else:
        host += peak_bytes(card, high, wide)
    return Forecast(plan.tile, plan.step, count, plan.why, host, on_gpu, None if pace is None else pace * pixels)
