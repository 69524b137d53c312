"""What an engine needs at least, where TensorRT's own figure leaves something out: it does, of very large tensors."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pnen_runtime.card import Card

from .fusion import SCRATCH, element_bytes
from .profiles import Profile, most_keys, places

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
    found: list[int | None] = []
    for profile, own in figures:
        # Half, since kernels for small sizes may take more for each place than others do; with no more keys, since
        # attention that is not fused takes more for each place the more there are.
        rates = [(other - scratch) / places(card, smaller.largest) / 2 for smaller, other in sure
                 if places(card, smaller.largest) < places(card, profile.largest)
                 and most_keys(card, smaller.largest)[0] <= most_keys(card, profile.largest)[0]]  # fmt: skip
        rates.append(2 * int(card.config.get("channels") or 1) * element_bytes(card))  # into a convolution and out
        least = min(MOST, int(max(rates) * places(card, profile.largest)))
        holds = own >= least and largest_tensor(card, profile, channels) < COUNTED
        found.append(None if holds else max(own, least))
    return found


def largest_tensor(card: Card, profile: Profile, channels: int) -> int:
    """Bytes of the largest tensor but scores: features, or the float32 pictures around them."""
    features = places(card, profile.largest) * channels * element_bytes(card)
    return max(features, 4 * card.channels * prod(profile.largest))
