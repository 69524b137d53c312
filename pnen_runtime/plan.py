"""Which tile to use: what the card recommends or the user asks for, as far as memory or the engine's profiles allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Literal

from .border import MARGIN
from .card import Card
from .errors import EngineError, UsageError

# Measured on ONNX Runtime 1.32 with PNEN, 96 to 481 pixels a side, 32 and 64 channels, 1 to 3 stages: with the card's
# number of maps it predicts 0.95 to 1.35 times what is used; it predicts more for other networks, which hold less.
LIVE_SCORES = 2.2  # copies of the largest score matrix, before and after the softmax
Tile = int | Literal["whole"]  # pixels a side
Sizes = Sequence[Sequence[int]]  # of one profile of an engine: smallest, usual and largest (B, H, W)
OVERLAP = 64  # pixels, where the card recommends no tile: the reach of the convolutions


@dataclass(frozen=True)
class Plan:
    """The tile for one image, and in words why it is that."""

    tile: int  # pixels a side; a shorter side of the image is taken whole
    step: int  # pixels from one tile to the next
    why: str
    limited: bool  # smaller than wanted, for lack of memory or of a profile


def peak_bytes(card: Card, height: int, width: int) -> int:
    """What a network needs beside its weights for one tile of this size on a CPU."""
    pixels = ceil(height / card.grid) * ceil(width / card.grid)
    floats = card.live_maps * int(card.config.get("channels") or 64) * pixels
    scales = card.config.get("scales") or ()
    if card.target == "onnx" and scales:
        floats += int(LIVE_SCORES * pixels * max(ceil(height / s) * ceil(width / s) for s in scales))
    return 4 * floats


def largest_tile(card: Card, memory: int) -> int:
    """The longest side of a square tile that fits in `memory` bytes, but never under the smallest the network takes."""
    low, high = card.minimum_side, 65536  # low is taken, high is too much
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if peak_bytes(card, middle, middle) <= memory else (low, middle)
    return low


def plan_tiles(
    card: Card,
    height: int,
    width: int,
    memory: int,
    tile: Tile | None = None,
    step: int | None = None,
    profiles: Sequence[Sizes] = (),
) -> Plan:
    """Choose the tile for an image of this size.

    Parameters
    ----------
    memory : bytes that one tile may take
    tile : pixels a side, "whole", or None for what the card recommends
    step : pixels from one tile to the next; by default the card's, or what keeps its overlap for another tile
    profiles : of an engine, whose memory is settled when it is built; with them `memory` does not count

    Raises
    ------
    UsageError
        `tile` is smaller than the network takes, or `step` is not between 1 and `tile`.
    EngineError
        No profile takes any tile of this image.
    """
    why = "recommended by the card" if tile is None else "asked for"
    wanted = check_tile(card, tile, step)
    beyond = 2 * MARGIN if card.border and not profiles else 0
    side = max(height, width) + beyond if wanted == "whole" else wanted
    if profiles:
        limit, lack = _largest_of(profiles, side, height, width), f"the engine has no profile for {wanted}"
    else:
        needed = peak_bytes(card, min(side, height + beyond), min(side, width + beyond))
        limit = min(side, largest_tile(card, memory)) if needed > memory else side
        lack = f"needs {needed // 1_000_000} MB of the {memory // 1_000_000} MB allowed"
    if limit < side:
        why = f"{wanted} {why}, but {lack}"
    return Plan(limit, min(limit, step or _default_step(card, wanted, limit)), why, limit < side)


def fitting_profile(profiles: Sequence[Sizes], batch: int, height: int, width: int) -> int | None:
    """The number of the smallest profile that takes a batch of this size; None where none does."""
    fitting = [
        number
        for number, (least, _, most) in enumerate(profiles)
        if all(low <= side <= high for low, side, high in zip(least, (batch, height, width), most, strict=True))
    ]
    return min(fitting, key=lambda number: prod(profiles[number][2]), default=None)


def most_at_once(profiles: Sequence[Sizes], height: int, width: int) -> int:
    """Tiles of this size that an engine takes in one batch, and any fewer; 0 where it takes none."""
    fitting = [sizes for sizes in profiles if fitting_profile([sizes], 1, height, width) is not None]
    return max((most[0] for _, _, most in fitting), default=0)


def _largest_of(profiles: Sequence[Sizes], side: int, height: int, width: int) -> int:
    """The longest side up to `side` of a tile of this image that some profile takes."""
    for candidate in sorted({side, *(limit for _, _, most in profiles for limit in most[1:] if limit < side)})[::-1]:
        if fitting_profile(profiles, 1, min(candidate, height), min(candidate, width)) is not None:
            return candidate
    sizes = ", ".join(
        "x".join(map(str, least[1:])) + " to " + "x".join(map(str, most[1:])) for least, _, most in profiles
    )
    raise EngineError(f"the engine takes {sizes} pixels, which fits no tile of an image of {height}x{width}")


def check_tile(card: Card, tile: Tile | None, step: int | None) -> Tile:
    """The tile that is wanted, before memory is looked at."""
    wanted = card.tile if tile is None else tile
    if wanted != "whole" and (not isinstance(wanted, int) or wanted < card.minimum_side):
        raise UsageError(f'expected a tile of at least {card.minimum_side} pixels or "whole", got {wanted!r}')
    if step is not None and not 1 <= step <= (step if wanted == "whole" else wanted):
        raise UsageError(f"expected a step of 1 to {wanted} pixels, got {step}")
    return wanted


def describe_tiles(card: Card, memory: int, tile: Tile | None, step: int | None, profiles: Sequence[Sizes] = ()) -> str:
    """The plan in words, before the size of the image is known."""
    if check_tile(card, tile, step) == "whole":
        limits = [f"{most[1]}x{most[2]}" for _, _, most in profiles] or [
            "about {0}x{0}".format(largest_tile(card, memory))
        ]
        why = "asked for" if tile else "recommended by the card"
        return f"whole image ({why}) up to {' or '.join(limits)} pixels, larger ones in tiles"
    plan = plan_tiles(card, 65536, 65536, memory, tile, step, profiles)
    return f"tiles of {plan.tile} at step {plan.step} ({plan.why})"


def _default_step(card: Card, wanted: Tile, side: int) -> int:
    """The card's step for the card's tile; for another one, the step that keeps the overlap."""
    if side == card.tile:
        return min(card.tile_step, side)
    overlap = OVERLAP if card.tile == "whole" or wanted == "whole" else max(0, card.tile - card.tile_step)
    return max(1, side - min(overlap, side // 2))
