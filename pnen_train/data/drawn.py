"""Pictures that no camera takes: flat colour, gradients, shapes, line art, pages of text and screenshots.

A network trained on photographs alone bends flat colour by several levels; these, among them, teach it not to.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Random = np.random.Generator
LETTERS = "abcdefghijklmnopqrstuvwxyz"
FINER = 3  # drawn so many times larger, then reduced, so that edges are soft as a renderer's are


def draw(kind: str, side: int, seed: int) -> NDArray[np.uint8]:
    """A (side, side, 3) picture of one of KINDS; kind, side and seed alone say which."""
    return KINDS[kind](side, np.random.default_rng((seed, *kind.encode())))


def _colour(random: Random) -> tuple[int, int, int]:
    """Half of them of full or no strength in each channel, as screens like them."""
    values = random.choice([0, 255], 3) if random.random() < 0.5 else random.integers(0, 256, 3)
    return tuple(int(value) for value in values)  # type: ignore[return-value]


def _flat(side: int, random: Random) -> NDArray[np.uint8]:
    """Four flat quarters, or one colour alone."""
    picture = np.empty((side, side, 3), np.uint8)
    half = side if random.random() < 0.3 else side // 2
    for top in range(0, side, half):
        for left in range(0, side, half):
            picture[top : top + half, left : left + half] = _colour(random)
    return picture


def _gradient(side: int, random: Random) -> NDArray[np.uint8]:
    """From one colour to another along a line or around a point; one in two dithered by a level, as cameras do."""
    y, x = np.mgrid[:side, :side] / side
    if random.random() < 0.5:
        angle = random.uniform(0, 2 * np.pi)
        way = np.cos(angle) * x + np.sin(angle) * y
    else:
        way = np.hypot(x - random.random(), y - random.random())
    way = (way - way.min()) / np.ptp(way)
    first, reach = np.array(_colour(random)), random.uniform(0.05, 1)
    last = first + reach * (np.array(_colour(random)) - first)
    picture = first + way[..., None] * (last - first)
    if random.random() < 0.5:
        picture += random.normal(0, 1, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _canvas(side: int, random: Random) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (FINER * side, FINER * side), _colour(random))
    return image, ImageDraw.Draw(image)


def _shapes(side: int, random: Random) -> NDArray[np.uint8]:
    """Discs, boxes and polygons, some outlined."""
    image, pen = _canvas(side, random)
    for _ in range(random.integers(4, 16)):
        x, y = random.uniform(0, FINER * side, 2)
        wide, high = random.uniform(3, side, 2)
        line = _colour(random) if random.random() < 0.3 else None
        shape = random.integers(3)
        if shape == 2:
            corners = [(x + wide * a, y + high * b) for a, b in random.normal(0, 1, (random.integers(3, 7), 2))]
            pen.polygon(corners, _colour(random), line)
        else:
            stroke = pen.ellipse if shape else pen.rectangle
            stroke((x - wide, y - high, x + wide, y + high), _colour(random), line, int(random.integers(2, 9)))
    return _reduced(image)


def _lines(side: int, random: Random) -> NDArray[np.uint8]:
    """Line art: strokes and arcs of a few pixels on one colour."""
    image, pen = _canvas(side, random)
    ink = [_colour(random) for _ in range(random.integers(1, 4))]
    for _ in range(random.integers(5, 30)):
        ends, width = random.uniform(0, FINER * side, 4), int(random.integers(2, 12))
        colour = ink[random.integers(len(ink))]
        if random.random() < 0.5:
            pen.line([*map(float, ends)], colour, width)
        else:
            x, y, radius = ends[0], ends[1], ends[2] / 2
            start = random.uniform(0, 360)
            pen.arc((x - radius, y - radius, x + radius, y + radius), start, start + ends[3] % 360, colour, width)
    return _reduced(image)


def _words(random: Random) -> str:
    lengths = random.integers(1, 11, 40)
    return " ".join("".join(random.choice(list(LETTERS), length)) for length in lengths)


def _text(side: int, random: Random) -> NDArray[np.uint8]:
    """A page: lines of letters on paper, black on white in half of them."""
    dark = random.random() < 0.2
    paper, ink = ((255, 255, 255), (0, 0, 0)) if random.random() < 0.6 else (_colour(random), _colour(random))
    image = Image.new("RGB", (side, side), ink if dark else paper)
    pen, y = ImageDraw.Draw(image), int(random.integers(0, 8))
    while y < side:
        size = int(random.integers(8, 30))
        pen.text((int(random.integers(0, 12)), y), _words(random), paper if dark else ink, ImageFont.load_default(size))
        y += round(size * random.uniform(1.1, 2))
    return np.asarray(image)


def _screen(side: int, random: Random) -> NDArray[np.uint8]:
    """Windows with a bar, a frame, buttons and words, unsmoothed as on a screen."""
    image = Image.fromarray(_gradient(side, random) if random.random() < 0.3 else _flat(side, random))
    pen = ImageDraw.Draw(image)
    for _ in range(random.integers(1, 4)):
        x, y = (int(v) for v in random.integers(-20, side // 2, 2))
        wide, high = (int(v) for v in random.integers(side // 3, side, 2))
        grey = int(random.choice([255, 240, 32, 48]))
        ink = (0, 0, 0) if grey > 128 else (255, 255, 255)
        pen.rectangle((x, y, x + wide, y + high), (grey,) * 3, (128, 128, 128))
        pen.rectangle((x, y, x + wide, y + 18), _colour(random))
        for line in range(y + 24, y + high - 14, 16):
            pen.text((x + 8, line), _words(random)[: wide // 9], ink, ImageFont.load_default(11))
        pen.rectangle((x + wide - 60, y + high - 26, x + wide - 8, y + high - 6), _colour(random), ink)
    return np.asarray(image)


def _reduced(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.reduce(FINER))


KINDS: dict[str, Callable[[int, Random], NDArray[np.uint8]]] = {
    "flat": _flat, "gradient": _gradient, "shapes": _shapes, "lines": _lines, "text": _text, "screen": _screen,
}  # fmt: skip
