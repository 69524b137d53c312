"""What belongs to a picture beside its pixels: profile, EXIF data, XMP, resolution, words; read, kept or dropped.

Between reading and writing it is in `image.info`, under Pillow's names, whatever the formats call it.
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import PIL.Image

TITLES = {"icc_profile": "colour profile", "exif": "EXIF data", "xmp": "XMP", "dpi": "resolution", "text": "text"}
# What files of a format hold of it; of others Pillow drops it without a word.
HELD_BY = {"PNG": ("icc_profile", "exif", "xmp", "dpi", "text"), "BMP": ("dpi",)}
HELD_BY |= dict.fromkeys(("JPEG", "TIFF"), ("icc_profile", "exif", "xmp", "dpi"))
HELD_BY |= dict.fromkeys(("WEBP", "AVIF"), ("icc_profile", "exif", "xmp"))
UNNAMED = ("dpi",)  # where it is lost: nearly every photo has one, and it says nothing of a picture for screens
PNG_XMP, TIFF_XMP, TIFF_X_RESOLUTION = "XML:com.adobe.xmp", 700, 282
# Of a TIFF what describes the picture, not how it is stored: words, maker, dates, copyright; the EXIF and GPS folders.
DESCRIBING = (269, 270, 271, 272, 285, 305, 306, 315, 316, 33432, 34665, 34853)
# What is no description, and what pixels need that `to_srgb` does not convert.
STAYING = ("duration", "loop", "transparency", "background", "compression", "icc_profile")
EXIF_FOLDER, WIDTH, HEIGHT, LONG = 34665, 40962, 40963, 4  # tags of EXIF, and a kind of number in it
CONVERTED = ("L", "LA", "RGB", "RGBA", "CMYK")  # modes that `to_srgb` takes
log = logging.getLogger("pnen")


def gather(path: Path, source: PIL.Image.Image, info: dict[Any, Any]) -> None:
    """Put what an open file says of its picture into `info`, where `settings_of` looks for it."""
    from PIL import Image

    if source.format == "PNG":
        text = dict(getattr(source, "text", {}))
        for key in text:
            info.pop(key, None)
        if packet := text.pop(PNG_XMP, None):
            info.setdefault("xmp", packet.encode())
        if text:
            info["text"] = text
    elif source.format == "TIFF":
        try:
            tags, found = Image.Exif(), source.getexif()
            found.bigtiff = False  # what Pillow writes of those it cannot read again
            tags.load(found.tobytes())
        except Exception as error:  # values of other kinds than their tags have
            log.warning("%s: its descriptions cannot be read and are left out (%s)", path, error)
            return
        if TIFF_X_RESOLUTION not in tags:
            info.pop("dpi", None)  # Pillow says 1
        for tag in [tag for tag in tags if tag not in DESCRIBING]:
            del tags[tag]
        if len(tags):
            info["exif"] = tags.tobytes()


def settings_of(path: Path, image: PIL.Image.Image, kind: str) -> dict[str, Any]:
    """Of Pillow's `save` in this format: what the image brings along and the format takes; the rest the log names.

    Each is tried on a single pixel: torn EXIF data raise SyntaxError, a resolution of 0/0 ValueError.
    """
    from PIL import Image

    kept: dict[str, Any] = {"icc_profile": None}  # else encoders take it from the image again
    for key, title in TITLES.items():
        if not image.info.get(key) or (key in UNNAMED and key not in HELD_BY.get(kind, ())):
            continue
        try:
            value = image.info[key]
            settings = _setting(key, of_this_size(value, *image.size) if key == "exif" else value, kind, kept)
            Image.new("RGB", (1, 1)).save(io.BytesIO(), kind, **settings)
            kept |= settings
        except Exception as error:
            log.warning("%s: without the %s of the original, which %s cannot take (%s)", path, title, kind, error)
    return kept


def _setting(key: str, value: Any, kind: str, kept: dict[str, Any]) -> dict[str, Any]:
    """As this format has it; LookupError where it has none."""
    from PIL import Image, PngImagePlugin

    if kind == "PNG" and key in ("xmp", "text"):
        words = kept.get("pnginfo") or PngImagePlugin.PngInfo()
        given = {PNG_XMP: value.decode()} if key == "xmp" else value
        for name, text in given.items():
            words.add_itxt(name, text, getattr(text, "lang", "") or "", getattr(text, "tkey", "") or "")
        return {"pnginfo": words}
    if key not in HELD_BY.get(kind, ()):
        raise LookupError(", ".join(value) if key == "text" else "it has no place for it")
    if kind == "TIFF" and key in ("exif", "xmp"):
        tags = kept.get("exif") or Image.Exif()
        if key == "exif":
            tags.load(value)
            for tag in [tag for tag in tags if tag not in DESCRIBING]:  # of another file's pixels
                del tags[tag]
        else:
            tags[TIFF_XMP] = value
        return {"exif": tags}
    return {key: value}


def of_this_size(exif: bytes, width: int, height: int) -> bytes:
    """EXIF data that say these pixels where they said others, and are the same else, notes of makers too."""
    start = 6 if exif[:6] == b"Exif\0\0" else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2])
    if order is None:
        return exif
    data, sides = bytearray(exif), {WIDTH: width, HEIGHT: height}
    try:
        (first,) = struct.unpack_from(order + "I", data, start + 4)
        for place in _entries(data, start, first, order):
            tag, _, _, inner = struct.unpack_from(order + "HHII", data, place)
            for entry in _entries(data, start, inner, order) if tag == EXIF_FOLDER else ():
                (tag,) = struct.unpack_from(order + "H", data, entry)
                if tag in sides:
                    struct.pack_into(order + "HHII", data, entry, tag, LONG, 1, sides[tag])
    except struct.error:  # torn; whoever writes it says so
        return exif
    return bytes(data)


def _entries(data: bytearray, start: int, folder: int, order: str) -> Iterator[int]:
    (count,) = struct.unpack_from(order + "H", data, start + folder)
    yield from (start + folder + 2 + 12 * k for k in range(count))


def with_its_colours(path: Path, images: Sequence[PIL.Image.Image], kind: str) -> list[PIL.Image.Image]:
    """Frames as files of this format show them: in sRGB, which the log says, where they hold no profile."""
    first = images[0]
    if not first.info.get("icc_profile") or "icc_profile" in HELD_BY.get(kind, ()) or first.mode not in CONVERTED:
        return list(images)
    log.warning("%s: its colours are in sRGB now, since %s holds no profile", path, kind)
    return [to_srgb(image) for image in images]


def strip(image: PIL.Image.Image) -> PIL.Image.Image:
    """The image without all of it; its colours become sRGB, as they are without a profile.

    16-bit grey and floats keep their profile, which nothing here applies to them.
    """
    image = to_srgb(image) if image.mode in CONVERTED else image
    image.info = {key: value for key, value in image.info.items() if key in STAYING}
    return image


def to_srgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """A copy whose colours are in sRGB by the profile, which is then gone; of CMYK in RGB, of L and RGB in the same.

    Alpha passes through. Without a profile, or with one that is torn or another mode's, which the log says, values stay
    (of CMYK Pillow's plain conversion).
    """
    info = dict(image.info)
    profile, alpha = info.pop("icc_profile", None), image.getchannel("A") if image.mode[-1] == "A" else None
    colours = image if alpha is None else image.convert(image.mode[:-1])
    colours = (_through(profile, colours) if profile else colours).convert("L" if image.mode[0] == "L" else "RGB")
    if alpha is not None:
        colours.putalpha(alpha)
    colours.info = info
    return colours


def _through(profile: bytes, image: PIL.Image.Image) -> PIL.Image.Image:
    from PIL import ImageCms

    try:
        source, goal = ImageCms.getOpenProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, goal, outputMode="RGB") or image  # type: ignore[arg-type]
    except (ImportError, ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        log.warning("its colour profile cannot be applied and is left out (%s)", " ".join(str(error).split()))
        return image
