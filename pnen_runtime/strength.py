"""The wanted strength of an adjustable model: a number or a map of numbers, in the unit of what it imitates."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .card import Card
from .errors import UsageError
from .image import may_lie_on_gpu
from .models import adjustable_models
from .noise import estimate_sigma

if TYPE_CHECKING:
    from .cuda.arrays import CudaArray

log = logging.getLogger("pnen")


def estimates(card: Card, strength: Any) -> bool:
    """Whether this strength, of a denoiser also none at all, means that the picture's noise is to be estimated."""
    return bool(card.strength) and "noise" in card.task and (strength is None or _is_auto(strength))


def estimated(card: Card, frames: Sequence[tuple[Any, np.ndarray | None]]) -> float:
    """σ of the noise of (H, W, C) frames, each with what is shown of it, the median of theirs, within the card's range.

    UsageError for frames that lie on the GPU.
    """
    if not all(isinstance(frame, np.ndarray) for frame, _ in frames):
        raise UsageError("expected a strength with a CUDA array, σ of the noise in 8-bit levels, which is estimated of "
                         "pictures on the host only; pass a number")  # fmt: skip
    sigma = float(np.median([estimate_sigma(frame, shown) for frame, shown in frames]))
    taken = min(max(sigma, float(card.strength["least"])), float(card.strength["most"]))
    beyond = "" if taken == sigma else f", the model's limit, for the {sigma:.1f}"
    log.log(logging.WARNING if sigma > taken else logging.INFO, "strength %.1f%s estimated", taken, beyond)
    return taken


def wanted_strength(
    card: Card, strength: Any, height: int, width: int, frames: Any = None
) -> float | np.ndarray | None:
    """What the network is given: a number or an (H, W) float32 map; None where the model has one strength.

    A denoiser that is told none, or "auto", gets what the frames seem to need (as for `estimated`),
    or without them its card's.
    Raises UsageError for a strength outside the card's range, a map of another size than the picture's, and any other
    strength than its own for a model that has one.
    """
    if not card.strength:
        _refuse_another(card, strength)
        return None
    if estimates(card, strength):
        return float(card.strength["default"]) if frames is None else estimated(card, frames)
    if strength is None:
        return float(card.strength["default"])
    values = np.asarray(strength)
    if values.dtype.kind not in "fiu" or values.ndim not in (0, 2):
        hint = '; "auto" is for denoisers' if _is_auto(strength) else ""
        raise UsageError(f"expected strength to be a number or an (H, W) array of numbers, got {strength!r:.60}{hint}")
    if values.ndim == 2 and values.shape != (height, width):
        raise UsageError(f"expected a strength for every pixel of {width}x{height}, got a map of "
                         f"{values.shape[1]}x{values.shape[0]}; resize it")  # fmt: skip
    values = values.astype(np.float32)
    least, most = (np.float32(card.strength[end]) for end in ("least", "most"))
    low, high = float(values.min()), float(values.max())
    if not (low >= least and high <= most):  # either is NaN if one value is
        got = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        raise UsageError(f"expected a strength from {least:g} to {most:g} ({card.strength['unit']}), got {got}; "
                         "to blend with the picture use mix, from 0 to 1")  # fmt: skip
    return float(values) if values.ndim == 0 else values


def map_on_gpu(card: Card, strength: Any, height: int, width: int, picture_there: bool) -> CudaArray | None:
    """An (H, W) CUDA array of strengths as it lies, its values unseen; None for everything else.

    UsageError for another size than the picture's, and for a picture that is not on the GPU.
    """
    if not card.strength or not may_lie_on_gpu(strength):
        return None
    from .cuda.arrays import as_cuda_array

    array = as_cuda_array(strength)
    if array is None:
        return None
    if not picture_there:
        raise UsageError("expected the strengths on the host, where the picture is, got a CUDA array; copy it there")
    if array.shape != (height, width):
        raise UsageError(f"expected a strength for every pixel of {width}x{height}, got a CUDA array {array.shape}")
    return array


def batch_strength(card: Card, shape: tuple[int, ...], strength: np.ndarray | None) -> float | np.ndarray | None:
    """What goes with a (B, C, H, W) batch: (B, 1, H, W) float32 strengths, or the card's own where none are given.

    None for a network of one strength. Raises UsageError for strengths that it does not take, or of another shape.
    """
    wanted = (shape[0], 1, *shape[2:])
    if strength is None:
        return float(card.strength["default"]) if card.strength else None
    if not card.strength:
        raise UsageError("expected no strengths, for a network of one strength")
    if strength.shape != wanted:
        raise UsageError(f"expected strengths of shape {wanted} with a batch of shape {shape}, got {strength.shape}")
    return np.ascontiguousarray(strength, np.float32)


def _is_auto(strength: Any) -> bool:
    return isinstance(strength, str) and strength == "auto"


def _refuse_another(card: Card, strength: Any) -> None:
    own = card.task.get("strength", card.task.get("sigma", card.task.get("noise")))
    if strength is None or (np.ndim(strength) == 0 and strength == own):
        return
    names = ", ".join(adjustable_models()) or "none is bundled"
    raise UsageError(f"this model knows one strength{'' if own is None else f' ({own})'}, expected none to be asked "
                     f"for; blend with mix, from 0 to 1, or take an adjustable model: {names}")  # fmt: skip


def from_mask(mask: np.ndarray, strength: float, card: Card) -> np.ndarray:
    """A map of strengths of a grey picture, (H, W) in [0, 1]: black is the card's least, white `strength`."""
    least = float(card.strength["least"])
    return (least + mask.astype(np.float64) * (strength - least)).astype(np.float32)


def share_of(mix: float, detail: float | None) -> float:
    """How much of (smooth - picture) is added to the picture: `mix`, or so much taken away as `detail` says.

    UsageError where a mix is not from 0 to 1, a detail below 0, or both are given.
    """
    if not 0 <= mix <= 1:
        raise UsageError(f"expected a mix from 0 to 1, got {mix}")
    if detail is None:
        return mix
    if not 0 <= detail < float("inf") or mix != 1:
        raise UsageError(f"expected detail from 0 on, and no mix beside it, got {detail} and a mix of {mix}")
    return -detail
