"""How a TIFF stores its samples, by the tags of each page: what a library takes for something else, and its words."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BITS, COMPRESSION, PHOTOMETRIC, CHANNELS, PLANES, EXTRA, SAMPLE_FORMAT = 258, 259, 262, 277, 284, 338, 339  # tags
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, UNCOMPRESSED, IN_PLANES, SIGNED, FLOATS = 0, 1, 2, 1, 2, 2, 3  # and their values
COLOURS = {0: "grey with white at zero", 1: "grey", 2: "RGB", 3: "a palette", 5: "inks", 6: "YCbCr", 8: "Lab"}
KINDS = {1: "{} bits", 2: "{} signed bits", 3: "floats of {} bits", 5: "complex numbers", 6: "complex numbers"}
HALF = FLOATS, 16  # sample format and bits
DEEP = (1, 16), HALF, (FLOATS, 32)
MANY = 100_000  # pages


def pages(file: Path | bytes) -> Iterator[Any]:
    """The tags of one page after the other, as Pillow reads them, up to a torn one; none where it is no TIFF.

    It is one object, which goes from page to page.
    """
    from PIL import TiffImagePlugin

    with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as opened:
        try:
            head = opened.read(8)
            head += opened.read(8) if head[2:4] in (b"\x2b\0", b"\0\x2b") else b""
            tags = TiffImagePlugin.ImageFileDirectory_v2(head)
            seen: set[int] = set()
            while tags.next and tags.next not in seen and len(seen) < MANY:
                seen.add(tags.next)
                opened.seek(tags.next)
                tags.load(opened)
                yield tags
        except (struct.error, SyntaxError, ValueError, TypeError, OSError, EOFError):
            return


def first(tags: Any, tag: int, otherwise: int) -> int:
    """The value of a tag, the first one where there is one for each channel."""
    value = tags.get(tag, otherwise)
    value = value[0] if isinstance(value, (tuple, bytes)) and value else value
    return value if isinstance(value, int) else otherwise


def misread_by_pillow(tags: Any) -> str:
    """What is expected and what came, where Pillow decodes a page wrongly without a word; nothing elsewhere."""
    bits, channels = first(tags, BITS, 1), first(tags, CHANNELS, 1)
    if first(tags, SAMPLE_FORMAT, 1) == SIGNED and bits == 8:
        return "expected values from 0 on, got signed ones of 8 bits; convert it first"
    floats, packed = first(tags, SAMPLE_FORMAT, 1) == FLOATS, first(tags, COMPRESSION, 1) != UNCOMPRESSED
    if floats and packed and tags.prefix == b"MM":
        return f"expected floats whose least byte comes first, or uncompressed, got {described(tags)}; convert it first"
    if first(tags, PLANES, 1) != IN_PLANES:
        return ""
    colours, alpha = first(tags, PHOTOMETRIC, RGB), first(tags, EXTRA, 0) in (1, 2)
    unknown = channels == 4 and colours == RGB and not alpha  # of which Pillow makes alpha
    if channels == 1:
        right = packed or (bits >= 8 and colours != WHITE_IS_ZERO)
    elif packed:
        right = bits != 12 and not (channels == 2 and alpha) and not unknown
    else:
        right = bits == 8 and channels in (3, 4) and not unknown
    if right:
        return ""
    return f"expected the channels of each pixel side by side, got {described(tags)}; convert it first"


def for_libvips(file: Path | bytes) -> bool:
    """Whether all pages are of 16 bits or floats in 2 to 4 channels, and such as libvips decodes as they are.

    It takes further channels of grey for colours, planes of grey or of half floats for pixels that follow each other,
    and white at zero in floats for black.
    """
    found = False
    for tags in pages(file):
        found, channels, colours = True, first(tags, CHANNELS, 1), first(tags, PHOTOMETRIC, RGB)
        planes = first(tags, PLANES, 1) == IN_PLANES
        kind = first(tags, SAMPLE_FORMAT, 1), first(tags, BITS, 1)
        if channels == 2:
            known = not planes and (colours == BLACK_IS_ZERO or (colours == WHITE_IS_ZERO and kind[0] != FLOATS))
        else:
            known = channels in (3, 4) and colours == RGB and not (planes and kind == HALF)
        if not known or kind not in DEEP:
            return False
    return found


def described(tags: Any) -> str:
    """A page in words: its colours, channels and kind of samples."""
    kind = KINDS.get(first(tags, SAMPLE_FORMAT, 1), "{} bits").format(first(tags, BITS, 1))
    colours = COLOURS.get(first(tags, PHOTOMETRIC, -1), "unknown colours")
    channels = first(tags, CHANNELS, 1)
    planes = " in planes" if first(tags, PLANES, 1) == IN_PLANES else ""
    more = " (colours have PhotometricInterpretation RGB)" if colours == "grey" and channels > 2 else ""
    return f"a TIFF of {colours}{planes}, {channels} channel{'s' * (channels != 1)} of {kind}{more}"
