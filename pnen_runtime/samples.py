"""How samples are stored, where Pillow takes them for something else: deeper than 8 bits, white at zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .deep import libvips
from .errors import ImageError
from .install import pip_install
from .tiff_samples import BITS, CHANNELS, PHOTOMETRIC, SAMPLE_FORMAT, WHITE_IS_ZERO, first

if TYPE_CHECKING:
    import PIL.Image

SIZ, DEPTH = b"\xff\x4f\xff\x51", 42  # how the codestream of a JPEG 2000 begins, and where the first depth is
AV1, HIGH_DEPTH = b"av1C", 0x40  # the box with the settings of an AVIF, and its flag for 10 or 12 bits
HEAD = 65536  # bytes in which those are


def lost_samples(image: PIL.Image.Image) -> list[str]:
    """What Pillow leaves out of an image that is not decoded yet, a line for each."""
    lost = []
    if _cut_to_8_bits(image):
        without = "" if libvips() else f" with libvips ({pip_install('deep')})"
        lost.append("colour of more than 8 bits is read as 8 bits; pnen-smooth keeps 16 bits of RGB from .png or .tif "
                    f"(pages of one size) to .png or .tif{without}, as arrays do in programs")  # fmt: skip
    if image.format == "TIFF":
        channels = first(image.tag_v2, CHANNELS, 1)  # type: ignore[attr-defined]
        if (more := channels - len(image.getbands())) > 0:
            lost.append(f"{more} more channels than colours and alpha are left out")
    return lost


def _cut_to_8_bits(image: PIL.Image.Image) -> bool:
    """Whether an image in colour, not decoded yet, has more bits than Pillow takes of it."""
    if image.mode not in ("RGB", "RGBA", "RGBX", "CMYK"):
        return False
    head = _head(image.fp)  # type: ignore[attr-defined]
    if image.format == "JPEG2000":
        place = head.find(SIZ) + DEPTH
        return head.find(SIZ) >= 0 and len(head) > place and (head[place] & 0x7F) + 1 > 8
    if image.format == "AVIF":
        place = head.find(AV1) + 6
        return head.find(AV1) >= 0 and len(head) > place and bool(head[place] & HIGH_DEPTH)
    settings = [tile[3] for tile in getattr(image, "tile", ())]
    if image.format == "PPM":
        return any(isinstance(one, tuple) and isinstance(one[-1], int) and one[-1] > 255 for one in settings)
    return any(";16" in str(one) for one in settings)


def _head(file: Any) -> bytes:
    here = file.tell()
    file.seek(0)
    head: bytes = file.read(HEAD)
    file.seek(here)
    return head


def in_levels(image: PIL.Image.Image, source: PIL.Image.Image) -> PIL.Image.Image:
    """A frame of the open file `source` with 0 for black and 65535 or 1.0 for white.

    Of more than 8 bits Pillow leaves zero white where a TIFF says so, and 12 bits in the lower part of 16.
    """
    from PIL import Image

    if image.mode[0] not in "IF" or source.format != "TIFF":
        return image
    tags = source.tag_v2  # type: ignore[attr-defined]
    if image.mode == "I" and tags.get(SAMPLE_FORMAT, (1,)) == (1,) and (np.asarray(image) < 0).any():
        most = int(np.asarray(image).astype(np.uint32).max())  # Pillow takes them for signed ones
        raise ImageError(f"expected grey values of 16 bits, got ones of 32 bits up to {most:,}; scale them first")
    twelve, white = first(tags, BITS, 1) == 12, tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
    if not twelve and not white:
        return image
    pixels = np.asarray(image)
    if twelve:
        pixels = np.rint(pixels * (65535 / 4095)).astype(np.uint16)
    if white:
        pixels = 1 - pixels if image.mode == "F" else 65535 - pixels.astype(pixels.dtype.newbyteorder("="))
    result = Image.fromarray(pixels)
    result.info = image.info
    return result


def rounded(image: PIL.Image.Image, white: int = 255) -> PIL.Image.Image:
    """Grey of 16 bits or of floats in [0, 1] in levels up to `white`, 255 or 65535; `convert` would cut off at 255."""
    from PIL import Image

    shares = np.clip(np.asarray(image) / (1 if image.mode == "F" else 65535), 0, 1)
    result = Image.fromarray(np.rint(shares * white).astype(np.uint8 if white == 255 else np.uint16))
    result.info = image.info
    return result
