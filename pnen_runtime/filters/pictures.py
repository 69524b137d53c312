"""Pictures of every kind through a classical filter, and back as they came."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..image import from_batch, full_scale, take_apart
from ..strength import share_of
from ..tiles import Progress, of_frames
from .by_name import filter_values, resolve


def filter_picture(
    image: Any,
    name: str,
    settings: Mapping[str, Any],
    mix: float = 1.0,
    detail: float | None = None,
    progress: Progress | None = None,
) -> Any:
    """The picture, filtered; of the kinds that `Smoother.run` takes, and with its `mix` and `detail`.

    `progress` is called after each frame with the frames done and the frames in all. Raises ImageError for a picture
    that cannot be, UsageError for such a filter, setting or blend, BackendMissing where the filter lacks a package.
    """
    settings, share = resolve(name, settings), share_of(mix, detail)
    if isinstance(image, (list, tuple)):
        each = partial(filter_picture, name=name, settings=settings, mix=mix, detail=detail)
        return [each(one, progress=progress and of_frames(progress, number, len(image)))
                for number, one in enumerate(image)]  # fmt: skip
    picture = take_apart(image, minimum_side=2)
    count, height, width, _ = picture.shape
    for number, (frame, smooth) in enumerate(zip(picture.frames, picture.smooth, strict=True)):
        shown = np.ones((height, width), bool) if picture.alpha is None else picture.alpha[number] != 0
        given = np.broadcast_to(frame / full_scale(frame.dtype), (height, width, 3))  # grey is filtered as RGB
        found = filter_values(without_hidden(given, shown), name, settings)
        if share != 1:
            found = given + share * (np.clip(found, 0, 1) - given)
        from_batch(found.transpose(2, 0, 1)[None], smooth[None])
        smooth[~shown] = frame[~shown]
        if progress:
            progress(number + 1, count)
    return picture.finish()


def without_hidden(values: NDArray[Any], shown: NDArray[np.bool_]) -> NDArray[Any]:
    """(H, W, C) values with those of hidden pixels taken from shown ones nearby, for nothing hidden to reach an edge.

    Means of 2×2, 4×4, ... pixels fill what is left.
    """
    if shown.all() or not shown.any():
        return values
    height, width = shown.shape
    odd = (0, height % 2), (0, width % 2)
    sums, counts = (
        np.pad(part, (*odd, (0, 0))).reshape(-(-height // 2), 2, -(-width // 2), 2, part.shape[2]).sum((1, 3))
        for part in (values * shown[..., None], shown[..., None].astype(np.int64))
    )
    coarse = without_hidden(sums / np.maximum(counts, 1), counts[..., 0] > 0)
    filled = coarse.repeat(2, 0).repeat(2, 1)[:height, :width]
    return np.where(shown[..., None], values, filled)
