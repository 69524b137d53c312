"""Training pictures from photographs: reduced, some of them noisy, with drawn ones among them."""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pnen_runtime.image import read_rgb

from ..parallel import Progress
from .drawn import KINDS, draw
from .targets import by_stem

SIDE = 512  # pixels; photographs are reduced to it, which doubles the detail of most
SMALL = (
    256  # pixels a side of noisy and drawn pictures: as many crops come from them, at a quarter of the filter's time
)
LEAST = 112  # pixels a side, which the crops of the bundled recipes have
ONE_NAME = "their training pictures would have one name"
NOISE = (2.0, 14.0)  # σ in 8-bit levels
THIRD = 1 / 3


def training_pictures(
    photographs: Sequence[Path],
    progress: Progress = lambda *_: None,
    *,
    sizes: int = 2,
    noisy: float = THIRD,
    drawn: float = THIRD,
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Names and (H, W, 3) pictures to train on; the photographs' names and pixels alone say which.

    Every photograph in so many `sizes`: at most about `SIDE` pixels a side, and made still smaller by the next whole
    factors, where detail is denser; `noisy` pieces for each photograph, by default one of every third; and `drawn`
    pictures for each. A network that learns from all of them keeps flat colour flat and knows what a filter makes of
    noise; one that takes noise away, or enlarges, must not take noisy and drawn ones for the truth: 0 of both.
    """
    pieces = Fraction(noisy).limit_denominator(1000)
    named = sorted(by_stem(photographs, ONE_NAME).items())
    for number, (name, path) in enumerate(named):
        photograph = read_rgb(path)
        picture = reduced(photograph)
        yield name, picture
        for further in range(1, sizes):
            yield f"{name}_smaller{further}", reduced(photograph, further)
        for piece in range(math.ceil((number + 1) * pieces) - math.ceil(number * pieces)):
            yield f"{name}_noisy{piece or ''}", with_noise(picture, number + piece * len(named))
        progress(number + 1, len(named))
    for number in range(math.floor(len(named) * Fraction(drawn).limit_denominator(1000))):
        kind = list(KINDS)[number % len(KINDS)]
        yield f"drawn_{kind}_{number}", draw(kind, SMALL, number)


def reduced(picture: NDArray[np.uint8], further: int = 0) -> NDArray[np.uint8]:
    """Made smaller by a whole factor, so that no side is much over `SIDE` pixels, or by a factor that is higher.

    By no factor that leaves a side of under `LEAST` pixels, if it had more.
    """
    factor = max(1, round(max(picture.shape[:2]) / SIDE)) + further
    factor = max(1, min(factor, min(picture.shape[:2]) // LEAST))
    return np.asarray(Image.fromarray(picture).reduce(factor))


def with_noise(picture: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """A piece of at most `SMALL` pixels a side with Gaussian noise of one σ, rounded as a camera's."""
    random = np.random.default_rng(seed)
    height, width = (min(SMALL, side) for side in picture.shape[:2])
    top, left = (int(random.integers(picture.shape[axis] - side + 1)) for axis, side in enumerate((height, width)))
    piece = picture[top : top + height, left : left + width]
    return np.clip(np.rint(piece + random.normal(0, random.uniform(*NOISE), piece.shape)), 0, 255).astype(np.uint8)
