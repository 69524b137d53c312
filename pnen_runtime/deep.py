"""Colour of 16 bits and of floats, which Pillow cuts to 8 bits: read and written by libvips (extra `deep`)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .bare import without_resolution
from .errors import BackendMissing, ImageError, TooLarge
from .files import write_bytes
from .install import pip_install
from .tiff_samples import for_libvips

if TYPE_CHECKING:
    import PIL.Image
    from typing_extensions import Self

PNG, TIFF = b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
HOLDS = {".png": ("ushort",), ".tif": ("ushort", "float"), ".tiff": ("ushort", "float")}  # what a suffix can hold
METADATA = {"exif-data": 1, "xmp-data": 2, "iptc-data": 4, "icc-profile-data": 8}  # and how `keep` counts them
WORDS = 16  # comments and descriptions, likewise
OTHER_COLOURS = ("cmyk", "lab", "labq", "labs", "xyz", "lch", "hsv")  # which Pillow converts
INSTALL = f"install libvips for it: {pip_install('deep')}"
log = logging.getLogger("pnen")


@dataclass(frozen=True)
class DeepPicture:
    """Pages of (H, W, 2|3|4) uint16 or float32 pixels, upright, and the libvips image that holds their metadata."""

    pages: list[np.ndarray]
    source: Any
    name: str

    @classmethod
    def read(cls, file: Path | bytes, most: int | None = None) -> Self | None:
        """Of a path, or the bytes of a file; None where it has nothing that Pillow would cut, or libvips is not here.

        Raises ImageError where it has more than `most` pixels, OSError where it cannot be read.
        """
        path, head = ("the picture", file[:26]) if isinstance(file, bytes) else (str(file), _head(file))
        png = head[:8] == PNG and len(head) == 26 and head[24] == 16 and head[25] in (2, 4, 6)  # bits, RGB or alpha
        vips = libvips() if png or head[:4] in TIFF else None
        if vips is None:
            return None
        try:
            kind = "png" if png else "tiff"  # no other format, whatever the file says
            load = getattr(vips.Image, f"{kind}load_buffer" if isinstance(file, bytes) else f"{kind}load")
            image = load(file if isinstance(file, bytes) else path, fail_on="error")
            if image.bands not in (2, 3, 4) or image.format not in ("ushort", "float"):
                return None
            if image.interpretation in OTHER_COLOURS or (kind == "tiff" and not for_libvips(file)):
                return None
            count = image.get("n-pages") if image.get_typeof("n-pages") else 1
            check_pixels(path, image.width, image.height, count, most)
            whole = load(file if isinstance(file, bytes) else path, fail_on="error", n=-1) if count > 1 else image
            found = [page.autorot() for page in (whole.pagesplit() if count > 1 else [image])]
            pages = [np.ascontiguousarray(page.numpy()) for page in found]
        except vips.Error as error:
            log.debug("%s: %s", path, " ".join(str(error).split()))
            return None  # Pillow says what is wrong with it, or reads what libvips does not know
        return cls(pages, found[0], path)

    def held_by(self, path: Path) -> list[np.ndarray]:
        """The pages that the format of this suffix holds: one, but of a TIFF all; the log says what is left out."""
        if len(self.pages) > 1 and path.suffix.lower() == ".png":
            log.warning("%s: only the first of %d frames is taken", self.name, len(self.pages))
            return self.pages[:1]
        return self.pages

    def rounded(self, *, told: bool = True) -> PIL.Image.Image:
        """The first page in 8 bits, with the profile alone of its metadata, which the log tells."""
        from PIL import Image

        full = 1.0 if self.pages[0].dtype == np.float32 else 65535.0
        image = Image.fromarray(np.rint(255 * np.clip(self.pages[0] / full, 0, 1)).astype(np.uint8))
        if self.source.get_typeof("icc-profile-data"):
            image.info["icc_profile"] = self.source.get("icc-profile-data")
        if told:
            log.warning("%s: rounded to 8 bits; .tif keeps all of it", self.name)
        if told and len(self.pages) > 1:
            log.warning("%s: only the first of %d frames is taken", self.name, len(self.pages))
        return image

    def like(self, pages: list[np.ndarray]) -> Self:
        """Other pixels with the same metadata."""
        return replace(self, pages=pages)

    def fits(self, path: Path) -> bool:
        """Whether the format of this suffix holds more than 8 bits in colour."""
        return path.suffix.lower() in HOLDS

    def in_bits_of(self, path: Path, result: np.ndarray) -> np.ndarray:
        """A result as the format of this suffix holds it: floats in 16 bits where it has none, which the log says."""
        kinds = HOLDS[path.suffix.lower()]
        if self.source.format in kinds:
            return result
        log.warning("%s: rounded to 16 bits; .tif keeps all of it", self.name)
        return np.rint(65535 * np.clip(result, 0, 1)).astype(np.uint16)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(26)


def check_pixels(path: Path | str, width: int, height: int, frames: int, most: int | None) -> None:
    """ImageError where a picture has more than `most` pixels in all its frames."""
    if most is not None and width * height * frames > most:
        many = f" in {frames} frames" if frames > 1 else ""
        raise TooLarge(f"{path}: expected at most {most:,} pixels, got {width}x{height}{many}; make it smaller")


def libvips() -> Any:
    """The package; None where it is not installed or does not load."""
    try:
        import pyvips
    except (ImportError, OSError):
        return None
    return pyvips


def write_deep(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W, 2|3|4) uint16 or float32 pixels as PNG or TIFF, whole or not at all; raises as `encode_deep`."""
    write_bytes(path, encode_deep(path, pixels))


def encode_deep(
    path: Path, pixels: np.ndarray, source: Any = None, *, strip: bool = False, more: Sequence[np.ndarray] = ()
) -> bytes:
    """The file of (H, W, 2|3|4) uint16 or float32 pixels in the format of the suffix, with the metadata of `source`.

    `more` are the pages after the first of a TIFF, as large as it. With `strip` without metadata; colours of 16 bits
    are in sRGB then, floats keep the profile that their values need.

    Raises ImageError where the format cannot hold them, BackendMissing without libvips.
    """
    vips = libvips()
    if vips is None:
        raise BackendMissing(f"{path}: {pixels.dtype} in colour needs libvips; {INSTALL}")
    kind = "ushort" if pixels.dtype == np.uint16 else "float"
    suffix = path.suffix.lower()
    if kind not in HOLDS.get(suffix, ()):
        raise ImageError(
            f"{path}: {suffix or 'a name without suffix'} cannot hold {pixels.dtype} in colour; write .tif"
        )
    height, width, bands = pixels.shape
    below = np.ascontiguousarray(np.concatenate([pixels, *more]))
    image = vips.Image.new_from_memory(below.data, width, len(below), bands, kind)
    image = image.copy(interpretation="grey16" if bands == 2 else "rgb16" if kind == "ushort" else "scrgb")
    kept = 0
    if source is not None:
        image = image if strip else image.copy(xres=source.xres, yres=source.yres)
        for field in source.get_fields():
            words = field.startswith("png-comment-") or field == "image-description"
            if (field == "icc-profile-data") or (not strip and (field in METADATA or words)):
                image.set_type(source.get_typeof(field), field, source.get(field))
                kept |= METADATA.get(field, WORDS)
    try:
        if strip and kept and kind == "ushort" and bands > 2:
            image, kept = image.icc_transform("srgb", depth=16).copy(), 0
        if kept & METADATA["exif-data"]:
            image.set_type(vips.GValue.gint_type, "orientation", 1)  # the pixels are upright by now
        tiff = {"page_height": height} if more else {}
        data: bytes = (
            image.pngsave_buffer(bitdepth=16, keep=kept)
            if suffix == ".png"
            else image.tiffsave_buffer(keep=kept, **tiff)
        )
    except vips.Error as error:
        raise ImageError(f"{path}: the image cannot be written: {' '.join(str(error).split())}") from None
    said = source is not None and not strip and source.get_typeof("resolution-unit")
    return data if said else without_resolution(data)
