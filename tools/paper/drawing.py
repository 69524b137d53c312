"""Pictures for a page: heat over a photograph, marks, and panels with captions in rows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pnen_runtime.image import LUMA

Picture = NDArray[np.uint8]  # (H, W, 3)
Panel = tuple[str, Picture]  # caption and picture
HEAT = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))  # dark to bright, as eyes order them
MARK = (0, 255, 255)  # not a colour of the heat


def heat(values: NDArray[np.floating]) -> Picture:
    """(H, W) in [0, 1] → colours from black over red to light yellow."""
    steps = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(values, steps, [colour[c] for colour in HEAT]) for c in range(3)]
    return np.rint(np.stack(channels, axis=2)).astype(np.uint8)


def heated(picture: Picture, weights: NDArray[np.floating]) -> Picture:
    """Heat over the grey, darkened picture: `weights`, (H, W) in [0, 1], both colour and cover it."""
    grey = np.repeat((picture @ LUMA)[:, :, None] * 0.55, 3, axis=2)
    cover = np.clip(1.6 * weights, 0, 0.85)[:, :, None]
    return np.rint(grey * (1 - cover) + heat(0.25 + 0.75 * weights) * cover).astype(np.uint8)


def marked(picture: Picture, row: int, column: int) -> Picture:
    """A ring around a pixel, dark outside and bright inside so that it shows on everything."""
    image = Image.fromarray(picture)
    draw, radius = ImageDraw.Draw(image), max(5, round(max(picture.shape[:2]) / 45))
    for width, grow, colour in ((5, 1, (0, 0, 0)), (3, 0, MARK)):
        reach = radius + grow
        draw.ellipse([column - reach, row - reach, column + reach, row + reach], outline=colour, width=width)
    return np.asarray(image)


def framed(picture: Picture, box: tuple[int, int, int, int]) -> Picture:
    """A frame around top, left, height and width."""
    top, left, height, width = box
    image = Image.fromarray(picture)
    thick = max(2, round(max(picture.shape[:2]) / 150))
    ImageDraw.Draw(image).rectangle([left, top, left + width - 1, top + height - 1], outline=MARK, width=thick)
    return np.asarray(image)


def enlarged(values: NDArray[np.floating], shape: tuple[int, int], stride: int, first: float) -> NDArray[np.float64]:
    """A map of reference pixels as large as the picture: linear between their centres, which are `stride` apart."""
    for axis, length in enumerate(shape):
        place = np.clip((np.arange(length) - first) / stride, 0, values.shape[axis] - 1)
        lower = np.minimum(place.astype(int), max(values.shape[axis] - 2, 0))
        part = np.expand_dims(place - lower, 1 - axis)
        upper = np.minimum(lower + 1, values.shape[axis] - 1)
        values = np.take(values, lower, axis) * (1 - part) + np.take(values, upper, axis) * part
    return values


def page(rows: Sequence[Sequence[Panel]], width: int, title: str = "") -> Image.Image:
    """Rows of panels, each `width` pixels wide with its caption above; a line of `title` on top."""
    gap, font, bold = 6, ImageFont.load_default(size=14), ImageFont.load_default(size=16)
    lines = max(caption.count("\n") + 1 for row in rows for caption, _ in row)
    above = 18 * lines + 4
    placed = [[(caption, _fitted(picture, width)) for caption, picture in row] for row in rows]
    heights = [above + max(picture.height for _, picture in row) + gap for row in placed]
    top = 30 if title else gap
    columns = max(map(len, rows))
    sheet = Image.new("RGB", (columns * (width + gap) + gap, top + sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((gap, 6), title, "black", bold)
    for row, height in zip(placed, heights, strict=True):
        for column, (caption, picture) in enumerate(row):
            left = gap + column * (width + gap)
            draw.multiline_text((left, top), caption, "black", font, spacing=2)
            sheet.paste(picture, (left, top + above))
        top += height
    return sheet


def _fitted(picture: Picture, width: int) -> Image.Image:
    """At this width; a small picture keeps hard pixels, so that they can be counted."""
    enlarging = width > picture.shape[1]
    way = Image.Resampling.NEAREST if enlarging else Image.Resampling.LANCZOS
    return Image.fromarray(picture).resize((width, round(width * picture.shape[0] / picture.shape[1])), way)
