"""Optimisation profiles: the sizes an engine takes, and whether TensorRT and half precision hold at them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from pnen_runtime.card import Card
from pnen_runtime.errors import UsageError

KEY_LIMIT = 65504  # FP16's largest number, and equal keys sum to their count before fused attention divides
ELEMENT_LIMIT = 2**31 - 1  # of one tensor, in TensorRT before 10.13; it counts attention's scores, fused or not
USUAL_LIMIT = 2**40  # the same of TensorRT-RTX 1.7, which looks at the usual size alone (its own message says so)
LARGEST_SIDE = 65536  # images at once, and pixels a side: what a card can say
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


def tile_profile(card: Card, batch: int | None = None, element_limit: int | None = None) -> Profile:
    """1 to `batch` tiles as the card recommends, and what is smaller; one image where it recommends whole ones.

    By default `TILES_AT_ONCE`, or as many and as large as keys and `element_limit` allow.
    """
    if isinstance(card.tile, int):
        largest, fixed = Shape(batch or TILES_AT_ONCE, card.tile, card.tile), batch is not None
    else:
        largest, fixed = Shape(1, WHOLE, WHOLE), False
    while not fixed and not _fits(card, largest, KEY_LIMIT, element_limit):
        fewer = largest.batch > 1 and _fits(card, largest, KEY_LIMIT, None)
        side = largest.height - 16 * (not fewer)
        largest = Shape(largest.batch - fewer, side, side)
    return Profile(Shape(1, card.minimum_side, card.minimum_side), largest, largest)


def check_profiles(
    card: Card,
    profiles: Sequence[Profile],
    key_limit: int | None = KEY_LIMIT,
    element_limit: int | None = None,
    usual_limit: int | None = None,
) -> None:
    """UsageError where a profile is no range, too small for the network, or too large for FP16 or TensorRT.

    `key_limit` None is for a TensorRT that is known to sum attention in FP32, `element_limit` and `usual_limit` None
    for one that takes tensors of any size, or any at the usual size.
    """
    if not profiles:
        raise UsageError("expected at least one profile of sizes")
    for profile in profiles:
        for sides in zip(*profile, strict=True):
            if list(sides) != sorted(sides):
                raise UsageError(f"expected growing sizes MIN,OPT,MAX, got {profile}")
        if min(profile.smallest[1:]) < card.minimum_side or profile.smallest.batch < 1:
            raise UsageError(f"expected sizes from 1x{card.minimum_side}x{card.minimum_side} on, got {profile}")
        largest, (keys, scale) = profile.largest, most_keys(card, profile.largest)
        if max(largest) > LARGEST_SIDE:
            bounded = Shape(*(min(side, LARGEST_SIDE) for side in largest))
            fits = _largest_that_fits(card, bounded, key_limit, element_limit or usual_limit)
            raise UsageError(
                f"{largest} is more than {LARGEST_SIDE:,} images at once or pixels a side: state at most {fits}"
            )
        if not _fits(card, largest, key_limit, None):
            fits = _largest_that_fits(card, largest, key_limit, element_limit)
            raise UsageError(
                f"{largest} has {keys:,} keys at scale {scale}, and half-precision attention overflows beyond "
                f"{key_limit:,}: state at most {fits} and smooth larger images in tiles, or build from the FP32 file"
            )
        for shape, limit, what in ((largest, element_limit, ""), (profile.usual, usual_limit, " as the usual size")):
            if not _fits(card, shape, None, limit):
                fits = _largest_that_fits(card, shape, key_limit, limit)
                raise UsageError(
                    f"{shape} makes a tensor of {most_elements(card, shape):,} elements, and this TensorRT takes "
                    f"{limit:,} at most{what}: state at most {fits}{what} and smooth larger images in tiles"
                )


def overflow_risk(card: Card, profile: Profile) -> str | None:
    """One line where half-precision attention may overflow at the largest size, whatever limit was asked for."""
    keys, scale = most_keys(card, profile.largest)
    if card.precision != "fp16" or keys <= KEY_LIMIT:
        return None
    return (
        f"{profile.largest} has {keys:,} keys at scale {scale}: beyond {KEY_LIMIT:,} half-precision attention may "
        "overflow, and pictures that large come out wrong; look at one, or build from the FP32 file"
    )


def most_elements(card: Card, shape: Shape) -> int:
    """Elements of the largest tensor: attention's scores, or else feature maps."""
    channels = max(int(card.config.get(name) or 0) for name in ("channels", "key_channels", "value_channels"))
    inside = places(card, shape) * max(most_keys(card, shape)[0], channels)
    return max(inside, shape.batch * shape.height * shape.width * (card.channels + bool(card.strength)))


def most_keys(card: Card, shape: Shape) -> tuple[int, int]:
    """Reference pixels of one image at the scale that has most of them, and that scale; (0, 0) without attention."""
    scales = card.config.get("scales") or ()
    return max(((ceil(shape.height / s) * ceil(shape.width / s), s) for s in scales), default=(0, 0))


def places(card: Card, shape: Shape) -> int:
    """Pixels of the feature maps of a whole batch, which are fewer than the images' on a coarser grid."""
    grid = int(card.config.get("grid") or 1)
    return shape.batch * ceil(shape.height / grid) * ceil(shape.width / grid)


def _fits(card: Card, shape: Shape, key_limit: int | None, element_limit: int | None) -> bool:
    """Whether half precision and TensorRT hold at this size."""
    few_keys = card.precision != "fp16" or key_limit is None or most_keys(card, shape)[0] <= key_limit
    return few_keys and (element_limit is None or most_elements(card, shape) <= element_limit)


def _largest_that_fits(card: Card, shape: Shape, key_limit: int | None, element_limit: int | None) -> Shape:
    """The same with fewer images, or one of the same aspect with fewer pixels."""
    for batch in range(shape.batch, 0, -1):
        if _fits(card, shape._replace(batch=batch), key_limit, element_limit):
            return shape._replace(batch=batch)
    least = card.minimum_side
    for height in range(shape.height, least - 1, -1):
        smaller = Shape(1, height, max(least, shape.width * height // shape.height))
        if _fits(card, smaller, key_limit, element_limit):
            return smaller
    return Shape(1, least, least)
