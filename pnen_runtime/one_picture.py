"""One picture from its file through a network into the file of its result."""

from __future__ import annotations

import errno
import io
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .deep import DeepPicture, write_deep
from .encode import check_format, encode
from .errors import ImageError
from .image import read_image, result_mode, take_apart, write_image
from .jobs import STANDARD
from .memory import peak_bytes_so_far
from .saving import Saved
from .smoother import Smoother
from .strength import estimated
from .tiles import Progress
from .upscaler import Upscaler

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
        deep = DeepPicture.read(picture) if picture != STANDARD else None
        if deep is not None and deep.fits(output):
            result, told = _run(smoother, deep.pixels, wanted, progress)
            write_deep(output, result, deep.source)
            height, width = result.shape[:2]
        else:
            floats = deep is not None and deep.pixels.dtype == np.float32  # of which Pillow knows nothing
            image = deep.rounded() if deep and floats else read_image(
                io.BytesIO(sys.stdin.buffer.read()) if picture == STANDARD else picture)  # fmt: skip
            scale = getattr(smoother, "scale", 1)
            kind = Path(f"standard output{saved.suffix or '.png'}") if output == STANDARD else output
            check_format(kind, result_mode(image), image.width * scale, image.height * scale)
            result, told = _run(smoother, image, wanted, progress)
            if output == STANDARD:
                sys.stdout.buffer.write(encode(kind, result, saved.quality))
            else:
                write_image(output, result, quality=saved.quality)
            width, height = result.size
    except ImageError as error:
        raise ImageError(str(error) if str(error).startswith(str(picture)) else f"{picture}: {error}") from error
    except OSError as error:
        if error.errno in NO_MORE or output == STANDARD:
            raise
        where = output if error.filename == str(output) else picture
        raise ImageError(f"{where}: {error.strerror or error}") from error
    seconds, peak = time.perf_counter() - began, peak_bytes_so_far() / 1e6
    return f"{picture} -> {output}  {width}x{height} in {seconds:.1f} s, peak {peak:.0f} MB{told}"


def _run(
    smoother: Smoother | Upscaler, image: Any, wanted: dict[str, Any], progress: Progress | None
) -> tuple[Any, str]:
    """The result, and what is to be told of the strength."""
    told = ""
    if isinstance(wanted.get("strength"), str):
        wanted = wanted | {"strength": estimated(smoother.card, take_apart(image, minimum_side=1).frames)}
        told = f"  strength {wanted['strength']:.1f}, estimated"
    if isinstance(image, np.ndarray):
        told += "  in 16 bits" if image.dtype == np.uint16 else "  in floats"
    return smoother.run(image, **wanted, progress=progress), told
