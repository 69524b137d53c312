"""Pictures of every format that is read and written, damaged, on the way that `pnen-smooth` takes them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from pnen_runtime.encode import FORMATS, check_format, encode
from pnen_runtime.image import result_mode, take_apart
from pnen_runtime.metadata import strip
from pnen_runtime.photo import read_frames

from .damage import Draw, damaged_bytes, with_checksums

WIDTH, HEIGHT = 24, 20  # pixels
LIMIT = 2_000_000  # pixels from which Pillow warns, twice that it refuses: much less than usual, to save time
MODES = {
    ".png": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), ".jpg": ("L", "RGB", "CMYK"),
    ".tif": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F", "CMYK", "YCbCr", "LAB"), ".webp": ("RGB", "RGBA"),
    ".gif": ("L", "P", "RGBA"), ".bmp": ("1", "L", "P", "RGB"), ".ppm": ("1", "L", "RGB", "I;16", "F"),
    ".tga": ("L", "LA", "P", "RGB", "RGBA"), ".jp2": ("L", "LA", "RGB", "RGBA", "I;16"), ".avif": ("RGB", "RGBA"),
}  # fmt: skip
MORE: dict[str, list[dict[str, Any]]] = {  # other ways to write the same
    ".tif": [{"compression": kind} for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")],
    ".jpg": [{"progressive": True}, {"subsampling": 2}],
    ".webp": [{"lossless": True}],
    ".tga": [{"compression": "tga_rle"}],
    ".bmp": [],
}


class Wrong(Exception):
    """A result that looks like success and is none."""


def pictures(folder: Path) -> Callable[[Draw], None]:
    """Read a damaged picture, take it apart, put it together and write it, also in another format."""
    Image.MAX_IMAGE_PIXELS = LIMIT
    subjects = list(_subjects())

    def trial(draw: Draw) -> None:
        suffix, good = draw.choice(subjects)
        data = damaged_bytes(good, draw)
        if suffix == ".png" and draw.random() < 0.7:
            data = with_checksums(data)
        path = folder / f"in{suffix}"
        path.write_bytes(data)
        other = suffix if draw.whole or draw.random() < 0.5 else draw.choice(list(FORMATS))
        output = folder / f"out{other}"
        frames = read_frames(path, check_format(output).name)
        check_format(output, result_mode(frames[0]), *frames[0].size)
        result, *more = [take_apart(image).finish() for image in frames]
        if draw.random() < 0.2:
            result, *more = [strip(image) for image in (result, *more)]
        with Image.open(io.BytesIO(encode(output, result, more=more))) as again:
            if again.size != frames[0].size:
                raise Wrong(f"{frames[0].size} became {again.size} in {other}")

    return trial


def _subjects() -> Iterator[tuple[str, bytes]]:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    pixels[:, : WIDTH // 2] = pixels[:1, :1]  # something to compress, too
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "maker", 72.0  # orientation, make, resolution
    described = {"exif": exif.tobytes(), "icc_profile": profile, "dpi": (72, 72), "xmp": b"<x:xmpmeta/>"}
    for suffix, modes in MODES.items():
        for mode in modes:
            image = _in_mode(pixels, mode)
            yield from _written(suffix, image, {})
            for settings in (described, *MORE.get(suffix, [])):
                yield from _written(suffix, image, settings)
    colour = _in_mode(pixels, "RGB")
    for suffix in (".gif", ".webp", ".tif", ".png", ".avif"):
        yield from _written(suffix, colour, {"save_all": True, "append_images": [colour.transpose(Image.ROTATE_180)]})
    yield from _written(".tif", _in_mode(pixels, "1"), {"compression": "group4"})
    file = io.BytesIO()
    colour.save(file, "MPO", save_all=True, append_images=[colour])
    yield ".jpg", file.getvalue()


def _in_mode(pixels: np.ndarray, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(pixels[:, :, 0].astype(np.float32) / 255)
    colour = Image.fromarray(pixels)
    return colour if mode == "RGBA" else colour.convert("L" if mode == "LAB" else "RGB").convert(mode) \
        if mode not in ("LA", "LAB") else colour.convert("LA") if mode == "LA" \
        else Image.merge("LAB", colour.split()[:3])  # fmt: skip


def _written(suffix: str, image: Image.Image, settings: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The file, where this format takes such an image with these settings."""
    file = io.BytesIO()
    try:
        image.save(file, FORMATS[suffix].name, **settings)
    except Exception:  # encoders raise nearly anything
        return
    yield suffix, file.getvalue()
