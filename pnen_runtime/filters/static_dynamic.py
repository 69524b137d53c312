"""Smoothing by static and dynamic guidance (Ham, Cho, Ponce 2017): flat where both input and result are nearly so."""

import numpy as np
from numpy.typing import NDArray

from .extra import from_extra

NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # (down, right): half of the eight, each edge once
FLOOR = 1e-5  # of both factors of an edge's weight, as in the authors' code
TOLERANCE = 1e-3 / 255  # of a step's solution: a thousandth of an 8-bit level
ROUNDS = 10_000  # of a step's solver, at most; the default strength needs about 100


def sd_smooth(
    image: NDArray[np.floating], strength: float = 15.0, mu: float = 50.0, nu: float = 400.0, steps: int = 10
) -> NDArray[np.float64]:
    """The image with its regions flattened, its edges kept: (H, W, C) float in [0, 1] → the same range, float64.

    Parameters
    ----------
    image
        RGB, or one channel, at least 2×2 pixels. It is its own static guide.
    strength
        λ of the paper: how much neighbours are drawn together. Higher flattens more.
    mu, nu
        How sharply the weight of an edge falls with the difference in the input (static) and in the result so far
        (dynamic). Higher keeps weaker edges.
    steps
        Of majorise-minimise, from a flat start; each solves one linear system. After 5 and after 10 differ by 41 dB.

    The paper gives λ only. The other defaults, the differences in CIE Lab scaled to 0..1 over the image and the floor
    of the weights are those of the authors' smoothing demo. The mean of every channel is kept.
    """
    if image.ndim != 3 or image.shape[2] not in (1, 3) or min(image.shape[:2]) < 2:
        raise ValueError(f"expected an (H, W, C) image of 1 or 3 channels, 2×2 pixels or more, got shape {image.shape}")
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got {steps}")
    given = np.asarray(image, dtype=np.float64)
    static, result = edge_factors(given, mu), given
    for step in range(steps):
        dynamic = edge_factors(result if step else np.ones_like(given), nu)
        result = nearest_image(given, strength * static * dynamic, result)
    return result


def edge_factors(image: NDArray[np.float64], sharpness: float) -> NDArray[np.float64]:
    """How alike neighbours are, floor to 1 + floor: (H, W, C) → (4, H, W), an edge at its upper end; 0 for no edge."""
    colours = from_extra("skimage.color").rgb2lab(image) if image.shape[2] == 3 else image
    squares = np.full((len(NEIGHBOURS), *image.shape[:2]), np.nan)
    for (down, right), square in zip(NEIGHBOURS, squares, strict=True):
        upper = np.s_[: -down or None, max(0, -right) : -right if right > 0 else None]
        lower = np.s_[down:, max(0, right) : right if right < 0 else None]
        square[upper] = np.square(colours[upper] - colours[lower]).sum(axis=2)
    least, most = np.nanmin(squares), np.nanmax(squares)
    scaled = (squares - least) / (most - least if most > least else 1)
    return np.nan_to_num(np.exp(-sharpness * scaled) + FLOOR, nan=0.0)


def nearest_image(
    image: NDArray[np.float64], edges: NDArray[np.float64], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The (H, W, C) image u with the least |u - image|² + Σ edges · (difference of u along the edge)².

    It is found from `start` by conjugate gradients to TOLERANCE: the largest residual bounds the largest error, because
    the system's inverse has no negative entry and rows that sum to 1.
    """
    edges = np.pad(edges, ((0, 0), (1, 1), (1, 1)))
    diagonal = 1 + sum(edge + np.roll(edge, shift, (0, 1)) for edge, shift in zip(edges, NEIGHBOURS, strict=True))
    solve, solved = from_extra(".compiled").solve, np.empty_like(image)
    for channel in range(image.shape[2]):
        wanted, found = (np.pad(values[..., channel], 1) for values in (image, start))
        if not solve(edges, diagonal, wanted, found, TOLERANCE, ROUNDS):
            raise ValueError(f"the linear system was not solved in {ROUNDS} rounds; take a smaller strength")
        solved[..., channel] = found[1:-1, 1:-1]
    return solved
