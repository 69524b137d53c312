"""A PNG or TIFF file without what says nothing of its pixels: where metadata are torn, the picture still counts."""

from __future__ import annotations

import struct
from typing import Any

PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"IDAT", b"IEND")  # chunks that make the picture
# Tags of the first page that make it: sizes, samples, strips, tiles, compression, colours, tables of JPEG.
TAGS = (254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 332,
        338, 339, 347, 530, 531, 532)  # fmt: skip
RESOLUTION = (282, 283, 296)  # tags: of either axis, and the unit
ORIENTATION, TABLES = 274, 347  # of the tags, the one that may be lost, and the one that is no list of numbers
NUMBERS = (3, 4, 16)  # kinds of values that a tag of numbers may have: SHORT, LONG, LONG8


def bare_files(data: bytes) -> list[tuple[bytes, str]]:
    """What to try in place of a file that cannot be read, the fullest first, and what each is without.

    Nothing for other formats, nor where what is torn may say how the pixels are stored.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        still = tuple(name for name in PIXELS if name not in (b"acTL", b"fcTL", b"fdAT"))
        opaque = tuple(name for name in PIXELS if name != b"tRNS")
        found = [(_png(data, PIXELS), "its metadata"), (_png(data, opaque), "its metadata and transparency")]
        if b"fcTL" not in data:  # an animation that says so, and has no frames
            found.insert(1, (_png(data, still), "its metadata"))
        return found
    if data[:4] in (b"II*\0", b"MM\0*"):
        return [(made, "its metadata") for made in (_tiff(data),) if made]
    return []


def ends_in(file: Any, mark: bytes) -> bool:
    """Whether an open file ends in these bytes, zeros behind them aside."""
    here = file.tell()
    file.seek(max(0, file.seek(0, 2) - 4096))
    end = file.read().rstrip(b"\0")
    file.seek(here)
    found: bool = end.endswith(mark)
    return found


def tiff_is_cut(file: Any) -> bool:
    """Whether the list of pages of an open TIFF leads beyond its end, as of one that is cut off between two."""
    here = file.tell()
    try:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(8)
        order, place = "<" if head[:2] == b"II" else ">", 4
        for _ in range(10_000):
            if head[:4] not in (b"II*\0", b"MM\0*"):
                return False  # BigTIFF
            file.seek(place)
            (begin,) = struct.unpack(order + "I", file.read(4))
            if begin == 0:
                return False
            if begin + 2 > size:
                return True
            file.seek(begin)
            place = begin + 2 + 12 * struct.unpack(order + "H", file.read(2))[0]
            if place + 4 > size:
                return True
        return False
    except (struct.error, OSError):
        return True
    finally:
        file.seek(here)


def without_resolution(data: bytes) -> bytes:
    """A sound PNG, or TIFF of one page, that says none: libvips always writes one."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data, (b"pHYs",), kept=False)
    order = "<" if data[:2] == b"II" else ">"
    (begin,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, begin)
    entries = [data[begin + 2 + 12 * k : begin + 14 + 12 * k] for k in range(count)]
    kept = [entry for entry in entries if struct.unpack(order + "H", entry[:2])[0] not in RESOLUTION]
    return _with_tags(data, order, begin, count, kept)


def _png(data: bytes, names: tuple[bytes, ...], *, kept: bool = True) -> bytes:
    """With these chunks alone, or without them."""
    parts, place = [data[:8]], 8
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if (data[place + 4 : place + 8] in names) == kept:
            parts.append(data[place:end])
        place = end
    return b"".join(parts)


def _tiff(data: bytes) -> bytes | None:
    """The first page's list of tags, shortened where it is; the pages behind it stay. None where it is torn itself."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (begin,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, begin)
        entries = [data[begin + 2 + 12 * k : begin + 14 + 12 * k] for k in range(count)]
        kinds = [struct.unpack(order + "HH", entry[:4]) for entry in entries]
        if any(tag in TAGS and tag not in (ORIENTATION, TABLES) and kind not in NUMBERS for tag, kind in kinds):
            return None
        kept = [entry for entry, (tag, kind) in zip(entries, kinds, strict=True)
                if tag in TAGS and (tag == TABLES or kind in NUMBERS)]  # fmt: skip
    except struct.error:
        return None
    return _with_tags(data, order, begin, count, kept)


def _with_tags(data: bytes, order: str, begin: int, count: int, kept: list[bytes]) -> bytes:
    """The list of `count` tags at `begin` holds those `kept`; nothing else moves."""
    following = data[begin + 2 + 12 * count : begin + 6 + 12 * count]
    listed = struct.pack(order + "H", len(kept)) + b"".join(kept) + following
    return data[:begin] + listed + data[begin + len(listed) :]
