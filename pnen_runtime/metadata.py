"""What belongs to a picture beside its pixels: profile, EXIF data, XMP, resolution, words; read, kept or dropped.

Between reading and writing it is in `image.info`, under Pillow's names, whatever the formats call it.
"""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import PIL.Image

TITLES = {"icc_profile": "colour profile", "exif": "EXIF data", "xmp": "XMP", "dpi": "resolution", "text": "text"}
PNG_XMP, TIFF_XMP, TIFF_X_RESOLUTION = "XML:com.adobe.xmp", 700, 282
# Of a TIFF what describes the picture, not how it is stored: words, maker, dates, copyright; the EXIF and GPS folders.
DESCRIBING = (269, 270, 271, 272, 285, 305, 306, 315, 316, 33432, 34665, 34853)
# What is no description, and what pixels need that `to_srgb` does not convert.
STAYING = ("duration", "loop", "transparency", "background", "compression", "icc_profile")
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
        if not image.info.get(key):
            continue
        try:
            settings = _setting(key, image.info[key], kind, kept)
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
    if key == "text":
        raise LookupError(", ".join(value))
    if kind == "TIFF" and key in ("exif", "xmp"):
        tags = kept.get("exif") or Image.Exif()
        if key == "exif":
            tags.load(value)
            for tag in [tag for tag in tags if tag not in DESCRIBING]:  # of another file's pixels
                del tags[tag]
        else:
            tags[TIFF_XMP] = value
        return {"exif": tags}
    if key == "xmp" and kind not in ("JPEG", "WEBP", "AVIF"):
        raise LookupError("it has no place for it")
    return {key: value}


def strip(image: PIL.Image.Image) -> PIL.Image.Image:
    """The image without all of it; its colours become sRGB, as they are without a profile.

    16-bit grey and floats keep their profile, which nothing here applies to them.
    """
    image = to_srgb(image) if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK") else image
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
