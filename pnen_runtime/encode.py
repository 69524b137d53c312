"""What each image format can hold, and an image as the bytes of a file in it."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ImageError, UsageError
from .metadata import settings_of, with_its_colours

if TYPE_CHECKING:
    import PIL.Image

log = logging.getLogger("pnen")


@dataclass(frozen=True)
class Format:
    """One of Pillow's formats: without a look here it would write some modes as white, black or without alpha."""

    name: str
    modes: tuple[str, ...]  # whose pixels come back
    side: int = 2**31 - 1  # pixels of the longest side that is written and read again


COLOUR = ("1", "L", "LA", "P", "RGB", "RGBA")
PNG = Format("PNG", (*COLOUR, "I;16"))
JPEG = Format("JPEG", ("1", "L", "RGB", "CMYK", "YCbCr"), 65500)
TIFF = Format("TIFF", (*COLOUR, "I;16", "I;16B", "I", "F", "PA", "CMYK", "YCbCr", "LAB", "RGBX"))
JPEG2000 = Format("JPEG2000", ("L", "LA", "RGB", "RGBA", "I;16", "CMYK", "YCbCr"))
PPM = Format("PPM", ("1", "L", "RGB", "I;16", "I", "F"))
BMP, TGA = Format("BMP", ("1", "L", "P", "RGB")), Format("TGA", COLOUR, 65535)
GIF, WEBP, AVIF = Format("GIF", COLOUR, 65535), Format("WEBP", COLOUR, 16383), Format("AVIF", COLOUR, 32768)
FORMATS = {
    ".avif": AVIF, ".bmp": BMP, ".gif": GIF, ".j2k": JPEG2000, ".jfif": JPEG, ".jp2": JPEG2000, ".jpe": JPEG,
    ".jpeg": JPEG, ".jpg": JPEG, ".pgm": PPM, ".png": PNG, ".ppm": PPM, ".tga": TGA, ".tif": TIFF, ".tiff": TIFF,
    ".webp": WEBP,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0}, "TIFF": {"compression": "raw"}, "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}  # fmt: skip
WITH_QUALITY = {"JPEG": {}, "AVIF": {}, "WEBP": {"lossless": False}}  # and what else it changes
HOW_FRAMES_REPLACE = {  # the one before, whatever those did that were read: here each is whole
    "GIF": {"disposal": 2}, "PNG": {"disposal": 0, "blend": 0},
}  # fmt: skip
WEBP_ALPHA = 0x10  # of the flags of its header: pixels may be transparent
LOSSLESS = ("tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits")  # of a TIFF that stays one


def check_format(path: Path, mode: str = "L", width: int = 1, height: int = 1) -> Format:
    """The format that the suffix names; ImageError where there is none, or it cannot hold such an image (all hold "L").

    To be asked before a long run, since `encode` says the same after it.
    """
    from PIL import Image

    Image.init()
    found = FORMATS.get(path.suffix.lower())
    if found is None or found.name not in Image.SAVE:
        raise ImageError(f"{path}: expected a name that ends in .png, .jpg, .tif or the like, got {path.suffix!r}")
    if mode in ("LA", "RGBA") and mode not in found.modes:
        raise ImageError(f"{path}: {found.name} cannot hold its transparency; write .png, .webp or .tif")
    if mode not in found.modes:
        others = " or ".join(suffix for suffix, kind in ((".png", PNG), (".tif", TIFF)) if mode in kind.modes)
        raise ImageError(f"{path}: {found.name} cannot hold this image of mode {mode}; write {others}")
    if max(width, height) > found.side:
        side = f"{found.side:,} pixels a side"
        raise ImageError(f"{path}: {found.name} cannot hold {width}x{height}, but {side}; write .png or .tif")
    return found


def _in_255_colours(image: PIL.Image.Image) -> PIL.Image.Image:
    """An LA or RGBA image with a palette whose last place is clear: Pillow's own has half as many colours."""
    from PIL import Image

    if "A" not in image.mode:  # an opaque frame of an animation
        return image
    clear = image.getchannel("A").point(lambda value: 255 * (value < 128))
    colours = image.convert("RGB")
    colours.paste((0, 0, 0), mask=clear)
    result = colours.quantize(255, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    result.paste(255, mask=clear)
    result.info = image.info | {"transparency": 255}
    return result


def encode(
    path: Path, image: PIL.Image.Image, quality: int | None = None, more: Sequence[PIL.Image.Image] = ()
) -> memoryview:
    """The whole file, in memory: encoders that write to a full disk leave cut files, or never end.

    `quality`, 1 to 100, is that of JPEG, AVIF and WebP; `more` are frames after the first. Raises ImageError where the
    format of the suffix cannot hold the image, UsageError where it knows no quality.
    """
    kind, file = check_format(path, image.mode, *image.size), io.BytesIO()
    image, *more = with_its_colours(path, (image, *more), kind.name)
    if kind is GIF and image.mode in ("LA", "RGBA"):
        if any(image.getchannel("A").histogram()[1:255]):
            log.warning("%s: a GIF has no half-transparent pixels; they become opaque or clear", path)
        image, *more = [_in_255_colours(frame) for frame in (image, *more)]
    settings = SETTINGS.get(kind.name, {}) | settings_of(path, image, kind.name)
    if quality is not None:
        if kind.name not in WITH_QUALITY:
            raise UsageError(f"{path}: {kind.name} loses nothing and has no quality; leave it out")
        settings |= {"quality": quality, **WITH_QUALITY[kind.name]}
    if kind is TIFF and image.info.get("compression") in LOSSLESS:
        settings["compression"] = image.info["compression"]
    if more:
        settings |= {"save_all": True, "append_images": more}
        settings |= {"loop": image.info["loop"]} if "loop" in image.info else {}
        if any("duration" in frame.info for frame in (image, *more)):
            settings["duration"] = [round(frame.info.get("duration", 0)) for frame in (image, *more)]
        settings |= HOW_FRAMES_REPLACE.get(kind.name, {})
    try:
        image.save(file, kind.name, **settings)
    except MemoryError:
        raise
    except Exception as error:  # encoders raise nearly anything
        reason = str(error) or type(error).__name__
        raise ImageError(f"{path}: {kind.name} cannot hold this image of mode {image.mode} ({reason})") from error
    data = file.getbuffer()
    if kind is WEBP and more and image.mode == "RGBA" and data[12:16] == b"VP8X":
        data[20] |= WEBP_ALPHA  # libwebp leaves it out where every frame is opaque within its own rectangle
    return data
