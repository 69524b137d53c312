"""A picture and what became of it, side by side in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .metadata import to_srgb
from .samples import rounded

if TYPE_CHECKING:
    import PIL.Image

GAP = 8  # pixels between them


def side_by_side(before: PIL.Image.Image, after: PIL.Image.Image) -> PIL.Image.Image:
    """Both in RGB of 8 bits on white, the first enlarged by bicubic interpolation where the second is larger."""
    from PIL import Image

    page = Image.new("RGB", (2 * after.width + GAP, after.height), "white")
    for left, image in ((0, before), (after.width + GAP, after)):
        shown = _in_colour(image).resize(after.size, Image.Resampling.BICUBIC)
        page.paste(shown, (left, 0), shown)
    return page


def _in_colour(image: PIL.Image.Image) -> PIL.Image.Image:
    from PIL import Image

    if image.mode[0] in "IF":
        image = rounded(image)
    elif image.mode in ("RGB", "RGBA", "L", "LA", "CMYK") and image.info.get("icc_profile"):
        image = to_srgb(image)
    found: Image.Image = image.convert("RGBA")
    return found
