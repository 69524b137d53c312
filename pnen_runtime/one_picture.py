"""One picture (or video) from its file through a network into the file of its result."""

from __future__ import annotations

import errno
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .alpha import frames_seen
from .comparison import side_by_side
from .deep import DeepPicture, encode_deep
from .encode import Format, check_format, encode
from .errors import ImageError, TooLarge
from .files import write_bytes
from .image import result_mode, take_apart, write_image
from .jobs import STANDARD
from .memory import peak_bytes_so_far
from .metadata import strip
from .photo import read_frames
from .samples import rounded
from .saving import Saved
from .smoother import Smoother
from .strength import estimated
from .telling import Done
from .tiles import Progress, of_frames
from .upscaler import Upscaler
from .video import smooth_video_file
from .video_file import is_video

if TYPE_CHECKING:
    import PIL.Image

log = logging.getLogger("pnen")
NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # what will fail for every other picture too


@dataclass(frozen=True)
class Made:
    """The result of one picture as a file, and what is told of it."""

    data: bytes | memoryview
    width: int
    height: int
    frames: int
    strength: float | None  # that was estimated
    depth: str
    pair: Callable[[], tuple[PIL.Image.Image, PIL.Image.Image]]  # the first frame before and after


def smooth_file(
    smoother: Smoother | Upscaler,
    picture: Path,
    output: Path,
    wanted: dict[str, Any],
    saved: Saved,
    progress: Progress | None,
) -> Done:
    """Smooth one file, and say what became of it."""
    began = time.perf_counter()
    try:
        if saved.raw or is_video(picture):
            return smooth_video_file(smoother, picture, output, wanted, saved, progress)
        kind = Path(f"standard output{saved.suffix or '.png'}") if output == STANDARD else output
        source = sys.stdin.buffer.read() if picture == STANDARD else picture
        made = smoothed(smoother, source, kind, wanted, saved, progress)
        if output == STANDARD:
            sys.stdout.buffer.write(made.data)
        else:
            write_bytes(output, made.data)
        if saved.compare:
            write_image(saved.compare, side_by_side(*made.pair()))
    except ImageError as error:
        raise ImageError(str(error) if str(error).startswith(str(picture)) else f"{picture}: {error}") from error
    except OSError as error:
        if error.errno in NO_MORE or output == STANDARD:
            raise
        where = output if error.filename == str(output) else picture
        raise ImageError(f"{where}: {error.strerror or error}") from error
    seconds, peak = time.perf_counter() - began, peak_bytes_so_far() / 1e6
    frames = made.frames if made.frames > 1 else None
    return Done(str(picture), str(output), made.width, made.height, seconds, peak, frames, made.strength, made.depth)


def smoothed(
    smoother: Smoother | Upscaler,
    source: Path | bytes,
    kind: Path,
    wanted: dict[str, Any],
    saved: Saved,
    progress: Progress | None,
    most: int | None = None,
) -> Made:
    """Smooth a picture, of a path or the bytes of a file, into the file that `kind` would be by its suffix.

    Raises ImageError where it cannot be read or the format cannot hold it, TooLarge where it has more than `most`
    pixels in all frames, before they are decoded.
    """
    deep = DeepPicture.read(source, most)
    if deep is not None and deep.fits(kind):
        return _smoothed_deep(smoother, deep, kind, wanted, saved, progress)
    try:
        images = read_frames(source, check_format(kind).name, most)
    except ImageError as error:
        if deep is None or isinstance(error, TooLarge):
            raise
        take_apart(deep.pages[0], minimum_side=1)  # refuses what is beyond black and white, which would be cut off
        images = [deep.rounded()]
    images = [_held_by(check_format(kind), frame, source) for frame in images]
    results, estimate = _smooth_frames(smoother, kind, images, wanted, progress)
    first, *more = [strip(frame) for frame in results] if saved.strip else results
    file = encode(kind, first, saved.quality_of(kind), more)
    return Made(file, *first.size, len(results), estimate, "8 bits", lambda: (images[0], results[0]))


def _smoothed_deep(
    smoother: Smoother | Upscaler,
    deep: DeepPicture,
    kind: Path,
    wanted: dict[str, Any],
    saved: Saved,
    progress: Progress | None,
) -> Made:
    """Colour of 16 bits or floats, page by page."""
    pages = deep.held_by(kind)
    wanted, estimate = _settled(smoother, pages[0], wanted)
    results = [
        smoother.run(page, **wanted, progress=progress and of_frames(progress, number, len(pages)))
        for number, page in enumerate(pages)
    ]
    first, *more = [deep.in_bits_of(kind, result) for result in results]
    data = encode_deep(kind, first, deep.source, strip=saved.strip, more=more)
    height, width = first.shape[:2]
    depth = "16 bits" if first.dtype == np.uint16 else "floats"

    def pair() -> tuple[PIL.Image.Image, PIL.Image.Image]:
        return deep.rounded(told=False), deep.like(results).rounded(told=False)

    return Made(data, width, height, len(results), estimate, depth, pair)


def _held_by(found: Format, image: PIL.Image.Image, source: Path | bytes) -> PIL.Image.Image:
    """Grey of 16 bits and floats as the format holds it, which the log says; other pictures as they are."""
    if image.mode[0] not in "IF":
        return image
    take_apart(image, minimum_side=1)  # refuses values beyond black and white, which would be cut off
    if result_mode(image) in found.modes:
        return image
    bits = 16 if "I;16" in found.modes else 8
    name = "the picture" if isinstance(source, bytes) else source
    log.warning("%s: rounded to %d bits; .tif keeps all of it", name, bits)
    return rounded(image, 2**bits - 1)


def _smooth_frames(
    smoother: Smoother | Upscaler,
    output: Path,
    images: list[PIL.Image.Image],
    wanted: dict[str, Any],
    progress: Progress | None,
) -> tuple[list[PIL.Image.Image], float | None]:
    """The results, and the strength where it was estimated.

    It is what the first frame seems to need, for all, so that none flickers.
    """
    first, count, scale = images[0], len(images), getattr(smoother, "scale", 1)
    check_format(output, result_mode(first), first.width * scale, first.height * scale)
    wanted, estimate = _settled(smoother, first, wanted)
    results = [
        smoother.run(image, **wanted, progress=progress and of_frames(progress, number, count))
        for number, image in enumerate(images)
    ]
    return results, estimate


def _settled(smoother: Smoother | Upscaler, image: Any, wanted: dict[str, Any]) -> tuple[dict[str, Any], float | None]:
    """What is wanted, with a strength that is to be estimated, and that strength."""
    if not isinstance(wanted.get("strength"), str):
        return wanted, None
    strength = estimated(smoother.card, frames_seen(take_apart(image, minimum_side=1)))
    return wanted | {"strength": strength}, strength
