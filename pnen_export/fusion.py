"""Whether TensorRT fused the attention, by the memory an engine reserves: the log claims it in any case."""

from __future__ import annotations

from pnen_runtime.card import LIVE_MAPS, Card

from .profiles import Profile, most_keys, places

# What fused engines of TensorRT-RTX 1.7 reserve, 16 to 64 channels, 8 tiles of 96 to 8 of 192: a scratch at any size
# for the network and half of it for each scale, and feature maps.
SCRATCH, FUSED_MAPS = 2**25, 6.5


def attention_fused(card: Card, profile: Profile, activation_bytes: int) -> bool | None:
    """Whether attention scores stay out of memory, by what the builder reserves for this profile.

    None where it cannot be told, as `no_verdict` says.
    """
    if no_verdict(card, profile):
        return None
    scales = len(card.config.get("scales") or ())
    return activation_bytes < SCRATCH * (1 + scales) / 2 + _features(card, profile) + _scores(card, profile) / 2


def no_verdict(card: Card, profile: Profile) -> str:
    """Why it cannot be told whether attention is fused at this size; empty where it can."""
    if not card.config.get("scales"):
        return "the network has no attention"
    if places(card, profile.largest) * most_keys(card, profile.largest)[0] >= 2**31:
        return "TensorRT's count of so many scores cannot be relied on"
    grid = int(card.config.get("grid") or 1)
    measured = card.live_maps == LIVE_MAPS and card.precision == "fp16" and grid == 1
    scores, features = _scores(card, profile), _features(card, profile)
    if scores < 2 * (features * 0.1 if measured else features * 0.5 + SCRATCH) or scores < SCRATCH / 2:
        return "scores are too few to be seen beside feature maps"
    return ""


def _scores(card: Card, profile: Profile) -> int:
    """Bytes of the scores of the scale that has most; unfused they are there twice."""
    return places(card, profile.largest) * most_keys(card, profile.largest)[0] * element_bytes(card)


def _features(card: Card, profile: Profile) -> float:
    """Bytes of the feature maps that are held at once."""
    channels = max(int(card.config.get(name) or 64) for name in ("channels", "key_channels"))
    maps = FUSED_MAPS * card.live_maps / LIVE_MAPS
    return maps * places(card, profile.largest) * channels * element_bytes(card)


def element_bytes(card: Card) -> int:
    """Of a feature."""
    return 2 if card.precision == "fp16" else 4
