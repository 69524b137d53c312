"""The classical filters themselves, which the bundled networks imitate: exact, on the CPU, without a network or torch.

>>> from pnen_runtime import filters
>>> smooth = filters.l0(picture, strength=0.02)                         # doctest: +SKIP

All three take and give what `Smoother.run` does: a PIL image, path, file object, bytes of a file, or array (H, W),
(H, W, 1|3|4) or (N, H, W, 3) of uint8, uint16 or floats in [0, 1], of at least 2 pixels a side, or a list of them. The
same kind, size and type comes back, for a path a PIL image. Grey is filtered as RGB, and its luma comes back; alpha
passes through. What is fully transparent stays as it is, and its colours have no part in what is seen.

`mix`, from 0 to 1, blends the result with the picture; `detail`, from 0 on, adds to the picture so many times what the
filter takes away. Raises ImageError for a picture that cannot be, UsageError for such a setting, and BackendMissing
where the weighted median or the SD filter lacks the extra `filters`.

A picture is filtered whole, in memory that grows with it; the networks work in tiles.
"""

from __future__ import annotations

from typing import Any, Literal

from .pictures import filter_picture

__all__ = ["l0", "sd", "wmf"]


def l0(image: Any, *, strength: float = 0.02, kappa: float = 2.0, mix: float = 1.0, detail: float | None = None) -> Any:
    """L0 gradient minimisation: few gradients survive, and those keep their height.

    `strength` is λ, above 0: 0.02 is usual, 0.1 is a cartoon. `kappa`, above 1: smaller is slower and slightly more
    exact. The picture is taken as periodic. Needs numpy alone.
    """
    return filter_picture(image, "l0", {"strength": strength, "kappa": kappa}, mix, detail)


def wmf(
    image: Any,
    *,
    sigma: float = 50.0,
    radius: int = 10,
    backend: Literal["exact", "opencv"] = "exact",
    mix: float = 1.0,
    detail: float | None = None,
) -> Any:
    """The weighted median of every pixel's window: details narrower than `radius` (1 to 500 pixels) go.

    `sigma`, in levels of 0..255, from 0.01: higher smooths over stronger edges. Results have 256 levels, of 16 bits and
    floats too. The backend "opencv" comes near in less time; it needs OpenCV with its contributed modules alone.
    """
    return filter_picture(image, "wmf", {"sigma": sigma, "radius": radius, "backend": backend}, mix, detail)


def sd(
    image: Any,
    *,
    strength: float = 15.0,
    mu: float = 50.0,
    nu: float = 400.0,
    steps: int = 10,
    mix: float = 1.0,
    detail: float | None = None,
) -> Any:
    """Static and dynamic guidance: flat where both the input and the result are nearly so.

    `strength` is λ: higher flattens more. `mu`, `nu`: higher keeps weaker edges, of the input and of the result;
    `steps` of its solver.
    """
    return filter_picture(image, "sd", {"strength": strength, "mu": mu, "nu": nu, "steps": steps}, mix, detail)
