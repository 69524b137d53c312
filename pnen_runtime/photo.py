"""Image files: read upright, written with the profile and the EXIF data they came with."""

from __future__ import annotations

import errno
import io
import logging
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from .bare import bare_files, ends_in, tiff_is_cut
from .deep import DeepPicture, check_pixels, libvips, write_deep
from .encode import FORMATS, encode
from .errors import ImageError, TooLarge
from .files import write_bytes
from .install import pip_install
from .metadata import gather
from .samples import in_levels, lost_samples
from .tiff_samples import described, for_libvips, misread_by_pillow, pages
from .video_file import is_video

if TYPE_CHECKING:
    import PIL.Image

File = str | os.PathLike[str] | bytes | BinaryIO  # path, the bytes of a file, or a file object
READ_ONLY = (".heic", ".heif")  # by a plug-in of Pillow, where it is installed
SUFFIXES = (*FORMATS, *READ_ONLY)
# What is opened: no format that starts another program (EPS), fetches something or was never looked at here.
OPENED = ("PNG", "JPEG", "MPO", "TIFF", "WEBP", "GIF", "BMP", "PPM", "TGA", "JPEG2000", "AVIF", "HEIF")
OF_FRAMES = (("GIF", "WEBP", "PNG", "AVIF"), ("TIFF",))  # animations, and pages
log = logging.getLogger("pnen")


def read_image(file: File) -> PIL.Image.Image:
    """Read an image file, by its name, its bytes or as a file object, upright as its EXIF data says.

    It is read whole; of an animation or several pages, the first frame, which the log says.

    Whatever its name says, the file is one of the formats that are written too (HEIF, where a plug-in of Pillow is
    registered). What cannot be read of the metadata is left out, and the log says so.

    Raises
    ------
    ImageError
        The file is no such image, is truncated, or has more pixels than `PIL.Image.MAX_IMAGE_PIXELS` lets pass: set
        that to None for pictures of any size (the commands do).
    OSError
        The file is missing or may not be read.
    """
    return read_frames(file)[0]


def read_frames(file: File, kind: str | None = None, most: int | None = None) -> list[PIL.Image.Image]:
    """As `read_image`, all frames that a file of format `kind` holds as well: of an animation, or pages of a TIFF.

    TooLarge where all frames together have more than `most` pixels, before any is decoded.
    """
    path = Path(file) if isinstance(file, (str, os.PathLike)) else Path(str(getattr(file, "name", "the picture")))
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        return _frames(path, source, kind, most)
    except TooLarge:
        raise
    except ImageError as error:
        for data, without in bare_files(_bytes_of(source)):
            try:
                frames = _frames(path, io.BytesIO(data), kind, most)
            except ImageError:
                continue
            log.warning("%s: without %s, which cannot be read (%s)", path, without, error.__cause__ or error)
            return frames
        raise


def _bytes_of(source: Any) -> bytes:
    if isinstance(source, (str, os.PathLike)):
        return Path(source).read_bytes()
    source.seek(0)
    data: bytes = source.read()
    return data


def _opened(source: Any) -> AbstractContextManager[Any]:
    """A file that is open; what Pillow opens itself it may map into memory, and grey that lies on its side wrongly."""
    return open(source, "rb") if isinstance(source, (str, os.PathLike)) else nullcontext(source)


def _frames(path: Path, source: Any, kind: str | None, most: int | None) -> list[PIL.Image.Image]:
    from PIL import Image, UnidentifiedImageError

    Image.init()
    if path.suffix.lower() in READ_ONLY:
        register_heif()
    try:
        with (
            _opened(source) as file,
            Image.open(file, formats=[name for name in OPENED if name in Image.OPEN]) as image,
        ):
            count = _count(image)
            if image.format == "TIFF" and tiff_is_cut(image.fp):
                raise ImageError(f"{path}: the image cannot be read: it is cut off, and pages behind it are missing")
            if image.format == "GIF" and not ends_in(image.fp, b";"):
                log.warning("%s: it has no end mark, as if it were cut off; frames may be missing", path)
            if count > 1 and not any({image.format, kind} <= set(group) for group in OF_FRAMES):
                log.warning("%s: only the first of %d frames is taken", path, count)
                count = 1
            check_pixels(path, image.width, image.height, count, most)
            lost = lost_samples(image)
            frames = [_frame(path, image, number) for number in range(count)]
            for line in lost:
                log.warning("%s: %s", path, line)
            return frames
    except UnidentifiedImageError:
        raise _unidentified(path, _bytes_of(source)) from None
    except Image.DecompressionBombError as error:
        hint = "make it smaller" if most else "set PIL.Image.MAX_IMAGE_PIXELS = None to take it all the same"
        raise TooLarge(f"{path}: {str(error).rstrip('.')}; {hint}") from error
    except (MemoryError, KeyboardInterrupt, ImageError):
        raise
    except Exception as error:  # decoders raise nearly anything on broken data
        told = error.errno if isinstance(error, OSError) else None
        if told not in (None, errno.EINVAL):  # which is a place in the file that cannot be, as broken data say
            raise
        raise ImageError(f"{path}: the image cannot be read: {error or type(error).__name__}") from error


def _unidentified(path: Path, data: bytes) -> ImageError:
    """What is wrong with a file in which Pillow knows no format."""
    from PIL import Image

    if not data:
        return ImageError(f"{path}: expected an image, got an empty file")
    if tags := next(pages(data), None):
        hint = "convert it first"
        if DeepPicture.read(data):
            hint = "pnen-smooth reads it"
        elif not libvips() and for_libvips(data):
            hint = f"libvips may read it: {pip_install('deep')}"
        return ImageError(
            f"{path}: expected grey or RGB, alpha or none, of 8 or 16 bits or floats of 32, stored as usual, "
            f"got {described(tags)}; {hint}"
        )
    heif = path.suffix.lower() in READ_ONLY and "HEIF" not in Image.OPEN
    hint = "; to read it: pip install pillow-heif" if heif else ""
    hint = "; videos go through pnen-smooth and pnen_runtime.video.smooth_video" if is_video(path) else hint
    return ImageError(f"{path}: expected an image, got something else or a broken header{hint}")


def register_heif() -> None:
    """Let Pillow read HEIC, where pillow-heif is installed."""
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()


def take_any_size() -> None:
    """Let this process open pictures of any size: for commands, whose user knows what he gives them."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None


def _upright(path: Path, image: PIL.Image.Image) -> PIL.Image.Image:
    """A copy, turned as its EXIF data says; without them where they are broken: the picture counts."""
    from PIL import ImageOps

    try:
        upright = ImageOps.exif_transpose(image)
    except Exception as error:
        log.warning("%s: its EXIF data are broken and left out (%s)", path, error)
        upright = image.copy()
        upright.info.pop("exif", None)
    return image.copy() if upright is None else upright


def _frame(path: Path, image: PIL.Image.Image, number: int) -> PIL.Image.Image:
    if number:
        image.seek(number)
    if image.format == "TIFF" and (wrong := misread_by_pillow(image.tag_v2)):  # type: ignore[attr-defined]
        raise ImageError(f"{path}: {wrong}")
    image.load()
    upright = in_levels(_upright(path, image), image)
    gather(path, image, upright.info)
    return upright


def _count(image: PIL.Image.Image) -> int:
    """Of frames; of a phone's photo one: behind it is a preview."""
    try:
        return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception:  # what is behind the first frame is broken
        return 1


def write_image(
    path: str | os.PathLike[str],
    image: PIL.Image.Image | np.ndarray,
    *,
    quality: int | None = None,
    more: Sequence[PIL.Image.Image] = (),
) -> None:
    """Write a PIL image or an array in the format that the suffix names.

    Arrays are uint8 (H, W, 1|3|4), uint16 (H, W), or, with libvips, as PNG uint16 and as TIFF uint16 and float32
    (H, W, 3|4).

    The ICC profile, EXIF data, XMP, resolution and text in `image.info` are kept, as far as the format takes them: what
    it does not is named in the log. JPEG and AVIF are written at quality 95 without colour subsampling, WebP without
    loss; or all three at `quality`, 1 to 100. `more` are the frames after the first. The file appears whole or not at
    all.

    Raises
    ------
    ImageError
        The suffix names no format, or the format cannot hold such an image.
    UsageError
        The format has no quality.
    OSError
        The disk is full, or the place may not be written to.
    """
    path = Path(path)
    if (
        isinstance(image, np.ndarray)
        and image.dtype in (np.uint16, np.float32)
        and image.shape[2:] in ((2,), (3,), (4,))
    ):
        return write_deep(path, image)
    image = _to_pil(image) if isinstance(image, np.ndarray) else image
    write_bytes(path, encode(path, image, quality, more))


def _to_pil(array: np.ndarray) -> PIL.Image.Image:
    from PIL import Image

    single = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    grey = single.ndim == 2
    colour = array.ndim == 3 and array.shape[2] in (3, 4)
    if not ((array.dtype == np.uint8 and (grey or colour)) or (array.dtype == np.uint16 and grey)):
        raise ImageError(f"expected uint8 (H, W, 1|3|4) or uint16 (H, W), got {array.dtype} {array.shape}")
    return Image.fromarray(np.ascontiguousarray(single))
