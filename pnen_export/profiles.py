"""Optimisation profiles: the sizes an engine takes, and whether half-precision attention holds at them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from pnen_runtime.card import Card
from pnen_runtime.errors import UsageError

KEY_LIMIT = 65504  # FP16's largest number, and equal keys sum to their count before fused attention divides
SCRATCH = 2**25  # bytes: fused attention takes about half of it at any size, and the scales run side by side
TILES_AT_ONCE = 8
WHOLE = 1024  # pixels a side of the largest image for networks that take it whole, where keys allow it


class Shape(NamedTuple):
    """One size of the input; the channels are the network's."""

    batch: int
    height: int  # pixels
    width: int  # pixels

    def __str__(self) -> str:
        return "x".join(map(str, self))


class Profile(NamedTuple):
    """The sizes that an engine takes, and the one it is tuned for."""

    smallest: Shape
    usual: Shape
    largest: Shape

    def __str__(self) -> str:
        return ",".join(map(str, self))


def read_profile(text: str) -> Profile:
    """MIN,OPT,MAX, each batch x height x width or height x width; UsageError where it is something else."""
    shapes = []
    for part in text.split(","):
        if re.fullmatch(r"\s*[1-9]\d*(x[1-9]\d*){1,2}\s*", part):
            sides = [int(side) for side in part.split("x")]
            shapes.append(Shape(*([1] * (3 - len(sides)) + sides)))
    if len(shapes) != 3 or text.count(",") != 2:
        raise UsageError(
            "expected three sizes MIN,OPT,MAX, as 16x16,512x512,1080x1920 (height x width), or with the batch in front "
            f"1x16x16,8x96x96,8x96x96; got {text!r}"
        )
    return Profile(*shapes)


def tile_profile(card: Card, batch: int = TILES_AT_ONCE) -> Profile:
    """1 to `batch` tiles as the card recommends, and what is smaller; one image where it recommends whole ones."""
    if isinstance(card.tile, int):
        side = card.tile
    else:
        batch, side = 1, WHOLE
        while card.precision == "fp16" and most_keys(card, Shape(1, side, side))[0] > KEY_LIMIT:
            side -= 16
    largest = Shape(batch, side, side)
    return Profile(Shape(1, card.minimum_side, card.minimum_side), largest, largest)


def check_profiles(card: Card, profiles: Sequence[Profile], key_limit: int | None = KEY_LIMIT) -> None:
    """UsageError where a profile is no range, too small for the network, or has too many keys for FP16.

    `key_limit` None is for a TensorRT that is known to sum attention in FP32.
    """
    if not profiles:
        raise UsageError("expected at least one profile of sizes")
    for profile in profiles:
        for sides in zip(*profile, strict=True):
            if list(sides) != sorted(sides):
                raise UsageError(f"expected growing sizes MIN,OPT,MAX, got {profile}")
        if min(profile.smallest[1:]) < card.minimum_side or profile.smallest.batch < 1:
            raise UsageError(f"expected sizes from 1x{card.minimum_side}x{card.minimum_side} on, got {profile}")
        keys, scale = most_keys(card, profile.largest)
        if card.precision == "fp16" and key_limit is not None and keys > key_limit:
            fits = _largest_that_fits(card, profile.largest, key_limit)
            raise UsageError(
                f"{profile.largest} has {keys:,} keys at scale {scale}, and half-precision attention overflows beyond "
                f"{key_limit:,}: state at most {fits.height}x{fits.width} and smooth larger images in tiles, or build "
                "from the FP32 file"
            )


def most_keys(card: Card, shape: Shape) -> tuple[int, int]:
    """Reference pixels of one image at the scale that has most of them, and that scale; (0, 0) without attention."""
    scales = card.config.get("scales") or ()
    return max(((ceil(shape.height / s) * ceil(shape.width / s), s) for s in scales), default=(0, 0))


def places(card: Card, shape: Shape) -> int:
    """Pixels of the feature maps of a whole batch, which are fewer than the images' on a coarser grid."""
    grid = int(card.config.get("grid") or 1)
    return shape.batch * ceil(shape.height / grid) * ceil(shape.width / grid)


def attention_fused(card: Card, profile: Profile, activation_bytes: int) -> bool | None:
    """Whether attention scores stay out of memory, by what the builder reserves for this profile.

    None where it cannot be told: no attention, scores too small beside feature maps, or too large for the builder,
    which counts elements in 32 bits. Its log claims fusion also where there is none.
    """
    pixels, half = places(card, profile.largest), 2 if card.precision == "fp16" else 4
    scores = pixels * most_keys(card, profile.largest)[0]  # elements at the scale that has most
    features = pixels * card.live_maps * max(int(card.config.get(name) or 64) for name in ("channels", "key_channels"))
    if scores < 2.5 * features or scores * half < SCRATCH * len(card.config["scales"]) or scores >= 2**31:
        return None
    return activation_bytes < scores * half


def _largest_that_fits(card: Card, shape: Shape, limit: int) -> Shape:
    """The same aspect with fewer pixels."""
    for height in range(shape.height, 0, -1):
        smaller = Shape(1, height, max(1, shape.width * height // shape.height))
        if most_keys(card, smaller)[0] <= limit:
            return smaller
    return Shape(1, 1, limit)
