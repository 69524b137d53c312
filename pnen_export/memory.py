"""What an engine needs at least, where TensorRT's own figure leaves something out: it does, of very large tensors."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pnen_runtime.card import Card

from .fusion import SCRATCH, element_bytes
from .profiles import Profile, places

# Bytes of one tensor from which on figures are not relied on. TensorRT-RTX 1.7 says 65,395 MB of the bundled l0 at
# 18600x18600, 8,750 at 18700x18700 and 608 at 20000x20000; the smallest tensor seen left out had 2³² bytes.
COUNTED = 2**32
MOST = 2**40  # what a card can say, of figures that are too small in any case


def least_bytes(card: Card, profiles: Sequence[Profile], told: Sequence[int], channels: int) -> list[int | None]:
    """What each profile needs at least where the builder's figure cannot be relied on; None where it can.

    `told` are the builder's figures, in bytes, `channels` those of the network's widest feature map.
    """
    scratch = SCRATCH * (1 + len(card.config.get("scales") or ())) / 2
    figures = list(zip(profiles, told, strict=False))
    sure = [pair for pair in figures if largest_tensor(card, pair[0], channels) < COUNTED]
    # Half, since kernels for small sizes may take more for each place than others do.
    rate = max(((own - scratch) / places(card, profile.largest) / 2 for profile, own in sure), default=0.0)
    rate = max(rate, 2 * int(card.config.get("channels") or 1) * element_bytes(card))  # into a convolution and out
    found: list[int | None] = []
    for profile, own in figures:
        least = min(MOST, int(rate * places(card, profile.largest)))
        holds = own >= least and largest_tensor(card, profile, channels) < COUNTED
        found.append(None if holds else max(own, least))
    return found


def largest_tensor(card: Card, profile: Profile, channels: int) -> int:
    """Bytes of the largest tensor but scores: features, or the float32 pictures around them."""
    features = places(card, profile.largest) * channels * element_bytes(card)
    return max(features, 4 * card.channels * prod(profile.largest))
