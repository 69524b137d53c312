"""One picture (or video) from its file through a network into the file of its result."""

from __future__ import annotations

import errno
import io
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .comparison import side_by_side
from .deep import DeepPicture, write_deep
from .encode import check_format, encode
from .errors import ImageError
from .image import result_mode, take_apart, write_image
from .jobs import STANDARD
from .memory import peak_bytes_so_far
from .metadata import strip
from .photo import read_frames
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

NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # what will fail for every other picture too


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
        deep = DeepPicture.read(picture) if picture != STANDARD else None
        if deep is not None and deep.fits(output):
            wanted, estimate = _settled(smoother, deep.pixels, wanted)
            result = smoother.run(deep.pixels, **wanted, progress=progress)
            depth = "16 bits" if result.dtype == np.uint16 else "floats"
            write_deep(output, result, deep.source, strip=saved.strip)
            if saved.compare:
                write_image(
                    saved.compare, side_by_side(deep.rounded(told=False), deep.like(result).rounded(told=False))
                )
            (height, width), count = result.shape[:2], 1
        else:
            kind = Path(f"standard output{saved.suffix or '.png'}") if output == STANDARD else output
            floats = deep is not None and deep.pixels.dtype == np.float32  # of which Pillow knows nothing
            source = io.BytesIO(sys.stdin.buffer.read()) if picture == STANDARD else picture
            images = [deep.rounded()] if deep and floats else read_frames(source, check_format(kind).name)
            result, estimate = _smooth_frames(smoother, kind, images, wanted, progress)
            depth, count = "8 bits", len(result)
            first, *more = [strip(frame) for frame in result] if saved.strip else result
            if output == STANDARD:
                sys.stdout.buffer.write(encode(kind, first, saved.quality_of(kind), more))
            else:
                write_image(output, first, quality=saved.quality_of(kind), more=more)
            if saved.compare:
                write_image(saved.compare, side_by_side(images[0], result[0]))
            width, height = first.size
    except ImageError as error:
        raise ImageError(str(error) if str(error).startswith(str(picture)) else f"{picture}: {error}") from error
    except OSError as error:
        if error.errno in NO_MORE or output == STANDARD:
            raise
        where = output if error.filename == str(output) else picture
        raise ImageError(f"{where}: {error.strerror or error}") from error
    seconds, peak = time.perf_counter() - began, peak_bytes_so_far() / 1e6
    frames = count if count > 1 else None
    return Done(str(picture), str(output), width, height, seconds, peak, frames, estimate, depth)


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
    strength = estimated(smoother.card, take_apart(image, minimum_side=1).frames)
    return wanted | {"strength": strength}, strength
