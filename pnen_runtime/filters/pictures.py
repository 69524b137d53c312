"""Pictures of every kind through a classical filter, and back as they came."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ..alpha import seen
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
    for number, (frame, smooth) in enumerate(seen(picture)):
        given = np.broadcast_to(frame / full_scale(frame.dtype), (height, width, 3))  # grey is filtered as RGB
        found = filter_values(given, name, settings)
        if share != 1:
            found = given + share * (np.clip(found, 0, 1) - given)
        from_batch(found.transpose(2, 0, 1)[None], smooth[None])
        if progress:
            progress(number + 1, count)
    return picture.finish()
