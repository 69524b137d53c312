"""Image files: read upright, written with the profile and the EXIF data they came with."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from .errors import ImageError
from .files import replace_when_done

if TYPE_CHECKING:
    import PIL.Image

SUFFIXES = (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp")
log = logging.getLogger("pnen")


def read_image(path: str | os.PathLike[str]) -> PIL.Image.Image:
    """Read an image file whole, turned upright as its EXIF data says; of an animation, the first frame.

    Raises
    ------
    ImageError
        The file is no image, or is truncated.
    OSError
        The file is missing or may not be read.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = Path(path)
    try:
        with Image.open(path) as image:
            _say_what_is_lost(path, image)
            image.load()
            upright = ImageOps.exif_transpose(image)
            return image.copy() if upright is None else upright
    except UnidentifiedImageError:
        raise ImageError(f"{path}: expected an image, got something else or a broken header") from None
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # decoders raise nearly anything on broken data
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ImageError(f"{path}: the image cannot be read: {error}") from error


def _say_what_is_lost(path: Path, image: PIL.Image.Image) -> None:
    if getattr(image, "is_animated", False) and image.format != "MPO":  # phones put a preview behind the photo
        log.warning("%s: only the first of %d frames is taken", path, getattr(image, "n_frames", 0))
    if image.mode.startswith("RGB") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        log.warning("%s: 16-bit colour is read as 8 bits; give an array to keep it", path)


def write_image(path: str | os.PathLike[str], image: PIL.Image.Image | np.ndarray) -> None:
    """Write a PIL image, or a uint8 (H, W, 1|3|4) or uint16 (H, W) array, in the format that the suffix names.

    The ICC profile and EXIF data in `image.info` are kept; JPEG is written at quality 95 without colour subsampling.
    The file appears whole or not at all.

    Raises
    ------
    ImageError
        The suffix names no format, or the format cannot hold such an image.
    OSError
        The disk is full, or the place may not be written to.
    """
    path, image = Path(path), _to_pil(image) if isinstance(image, np.ndarray) else image
    check_format(path, image.mode)
    with replace_when_done(path) as temporary, open(temporary, "wb+") as file:
        _encode(path, image, file)


def check_format(path: Path, mode: str) -> None:
    """Raise ImageError now where `write_image` would after a long run: the format cannot hold this mode."""
    from PIL import Image

    _encode(path, Image.new(mode, (1, 1)), io.BytesIO())


def _encode(path: Path, image: PIL.Image.Image, file: IO[bytes]) -> None:
    from PIL import Image

    Image.init()
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise ImageError(f"{path}: expected a name that ends in .png, .jpg, .tif or the like, got {path.suffix!r}")
    keep = {key: image.info[key] for key in ("icc_profile", "exif", "dpi") if image.info.get(key)}
    if kind == "JPEG":
        keep |= {"quality": 95, "subsampling": 0}
    try:
        image.save(file, kind, **keep)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            error.filename = error.filename or str(path)
            raise
        raise ImageError(f"{path}: cannot hold this image of mode {image.mode} ({error}); write .png") from error


def _to_pil(array: np.ndarray) -> PIL.Image.Image:
    from PIL import Image

    single = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    grey = single.ndim == 2
    colour = array.ndim == 3 and array.shape[2] in (3, 4)
    if not ((array.dtype == np.uint8 and (grey or colour)) or (array.dtype == np.uint16 and grey)):
        raise ImageError(f"expected uint8 (H, W, 1|3|4) or uint16 (H, W), got {array.dtype} {array.shape}")
    return Image.fromarray(np.ascontiguousarray(single))
