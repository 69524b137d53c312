"""One picture (or video) from its file through a network into the file of its result."""

from __future__ import annotations

import errno
import io
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
from .tiles import Progress, of_frames
from .upscaler import Upscaler
from .video import video_line
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
) -> str:
    """Smooth one file; the line to say about it."""
    began = time.perf_counter()
    try:
        if saved.raw or is_video(picture):
            return video_line(smoother, picture, output, wanted, saved, progress)
        deep = DeepPicture.read(picture) if picture != STANDARD else None
        if deep is not None and deep.fits(output):
            wanted, told = _settled(smoother, deep.pixels, wanted)
            result = smoother.run(deep.pixels, **wanted, progress=progress)
            told += "  in 16 bits" if result.dtype == np.uint16 else "  in floats"
            write_deep(output, result, deep.source, strip=saved.strip)
            height, width = result.shape[:2]
        else:
            kind = Path(f"standard output{saved.suffix or '.png'}") if output == STANDARD else output
            floats = deep is not None and deep.pixels.dtype == np.float32  # of which Pillow knows nothing
            source = io.BytesIO(sys.stdin.buffer.read()) if picture == STANDARD else picture
            images = [deep.rounded()] if deep and floats else read_frames(source, check_format(kind).name)
            result, told = _smooth_frames(smoother, kind, images, wanted, progress)
            first, *more = [strip(frame) for frame in result] if saved.strip else result
            if output == STANDARD:
                sys.stdout.buffer.write(encode(kind, first, saved.quality_of(kind), more))
            else:
                write_image(output, first, quality=saved.quality_of(kind), more=more)
            width, height = first.size
    except ImageError as error:
        raise ImageError(str(error) if str(error).startswith(str(picture)) else f"{picture}: {error}") from error
    except OSError as error:
        if error.errno in NO_MORE or output == STANDARD:
            raise
        where = output if error.filename == str(output) else picture
        raise ImageError(f"{where}: {error.strerror or error}") from error
    seconds, peak = time.perf_counter() - began, peak_bytes_so_far() / 1e6
    return f"{picture} -> {output}  {width}x{height} in {seconds:.1f} s, peak {peak:.0f} MB{told}"


def _smooth_frames(
    smoother: Smoother | Upscaler,
    output: Path,
    images: list[PIL.Image.Image],
    wanted: dict[str, Any],
    progress: Progress | None,
) -> tuple[list[PIL.Image.Image], str]:
    """The results, all of the strength that the first frame seems to need, so that none flickers."""
    first, count, scale = images[0], len(images), getattr(smoother, "scale", 1)
    check_format(output, result_mode(first), first.width * scale, first.height * scale)
    wanted, told = _settled(smoother, first, wanted)
    results = [
        smoother.run(image, **wanted, progress=progress and of_frames(progress, number, count))
        for number, image in enumerate(images)
    ]
    return results, told + (f"  {count} frames" if count > 1 else "")


def _settled(smoother: Smoother | Upscaler, image: Any, wanted: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """What is wanted, with a strength that is to be estimated, and what is to be told of it."""
    if not isinstance(wanted.get("strength"), str):
        return wanted, ""
    strength = estimated(smoother.card, take_apart(image, minimum_side=1).frames)
    return wanted | {"strength": strength}, f"  strength {strength:.1f}, estimated"
