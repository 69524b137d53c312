"""The classical edge-preserving smoothers of OpenCV and scikit-image, and the parameters that are tuned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import denoise_bilateral, denoise_tv_chambolle

from pnen_runtime.filters.weighted_median import ALONE, opencv
from pnen_train.metrics import levels

Picture = NDArray[np.uint8]  # (H, W, 3)


@dataclass(frozen=True)
class Axis:
    """A parameter: the values that are tried first, in a geometric row, and the least and the most that it may be."""

    first: tuple[float, ...]
    least: float
    most: float
    whole: bool = False


@dataclass(frozen=True)
class Classical:
    """A smoother, (H, W, 3) uint8 and its parameters → the same kind, and the axes of its parameters."""

    smooth: Callable[..., Picture]
    axes: Mapping[str, Axis] = field(default_factory=dict)
    slow: bool = False  # is compared only when asked for


def bilateral(picture: Picture, sigma_color: float, sigma_space: float) -> Picture:
    return opencv().bilateralFilter(picture, -1, sigma_color, sigma_space)


def guided(picture: Picture, radius: int, eps: float) -> Picture:
    return opencv().ximgproc.guidedFilter(picture, picture, radius, eps)


def domain_transform(picture: Picture, sigma_space: float, sigma_color: float, mode: str) -> Picture:
    cv2 = opencv()
    return cv2.ximgproc.dtFilter(picture, picture, sigma_space, sigma_color, mode=getattr(cv2.ximgproc, f"DTF_{mode}"))


def fast_global(picture: Picture, strength: float, sigma_color: float) -> Picture:
    return opencv().ximgproc.fastGlobalSmootherFilter(picture, picture, strength, sigma_color)


def rolling_guidance(picture: Picture, sigma_color: float, sigma_space: float, rounds: int) -> Picture:
    return opencv().ximgproc.rollingGuidanceFilter(
        picture, d=-1, sigmaColor=sigma_color, sigmaSpace=sigma_space, numOfIter=rounds
    )


def bilateral_texture(picture: Picture, radius: int, rounds: int, sigma_texture: float) -> Picture:
    return opencv().ximgproc.bilateralTextureFilter(picture, fr=radius, numIter=rounds, sigmaAvg=sigma_texture)


def edge_preserving(picture: Picture, sigma_space: float, sigma_color: float, mode: str) -> Picture:
    cv2 = opencv()
    return cv2.edgePreservingFilter(picture, flags=getattr(cv2, mode), sigma_s=sigma_space, sigma_r=sigma_color)


def total_variation(picture: Picture, weight: float) -> Picture:
    return levels(denoise_tv_chambolle(picture / 255, weight=weight, channel_axis=2))


def bilateral_skimage(picture: Picture, sigma_color: float, sigma_space: float) -> Picture:
    return levels(denoise_bilateral(picture / 255, sigma_color=sigma_color, sigma_spatial=sigma_space, channel_axis=2))


COLOR = Axis((5, 15, 45, 135), 0.5, 400)  # in levels of 0..255
SPACE = Axis((4, 16, 64), 0.5, 200)  # in pixels, where time does not grow with it
WINDOW = Axis((1, 2, 4, 8), 0.4, 20)  # where it does
SPACE_AND_COLOR = {"sigma_space": SPACE, "sigma_color": COLOR}
SPACE_AND_SHARE = {"sigma_space": SPACE, "sigma_color": Axis((0.05, 0.15, 0.45), 0.005, 1)}  # in [0, 1]
CLASSICAL: dict[str, Classical] = {
    "bilateral": Classical(bilateral, {"sigma_color": COLOR, "sigma_space": WINDOW}),
    "guided": Classical(guided, {"radius": Axis((1, 2, 4, 8), 1, 64, whole=True),
                                 "eps": Axis((1, 10, 100, 1000), 0.01, 1e5)}),
    "domain transform NC": Classical(partial(domain_transform, mode="NC"), SPACE_AND_COLOR),
    "domain transform RF": Classical(partial(domain_transform, mode="RF"), SPACE_AND_COLOR),
    "domain transform IC": Classical(partial(domain_transform, mode="IC"), SPACE_AND_COLOR),
    "fast global smoother": Classical(fast_global, {"strength": Axis((1, 10, 100, 1000), 0.01, 1e5),
                                                    "sigma_color": Axis((2, 6, 18, 54), 0.5, 250)}),
    "rolling guidance": Classical(rolling_guidance, {"sigma_color": COLOR, "sigma_space": Axis((1, 2, 4), 0.4, 8),
                                                     "rounds": Axis((1, 2, 4), 1, 8, whole=True)}),
    "bilateral texture": Classical(bilateral_texture, {"radius": Axis((1, 2, 4), 1, 8, whole=True),
                                                       "rounds": Axis((1, 2), 1, 4, whole=True),
                                                       "sigma_texture": Axis((0.03, 0.09, 0.27), 0.005, 1)}),
    "edgePreservingFilter NC": Classical(partial(edge_preserving, mode="NORMCONV_FILTER"), SPACE_AND_SHARE),
    "edgePreservingFilter RF": Classical(partial(edge_preserving, mode="RECURS_FILTER"), SPACE_AND_SHARE),
    "total variation (scikit-image)": Classical(total_variation, {"weight": Axis((0.01, 0.03, 0.1, 0.3), 0.001, 2)}),
    "bilateral (scikit-image)": Classical(bilateral_skimage, {"sigma_color": Axis((0.02, 0.06, 0.18, 0.54), 0.005, 2),
                                                              "sigma_space": Axis((1, 2, 4), 0.5, 5)}, slow=True),
}  # fmt: skip


def l0_of_opencv(picture: Picture, settings: Mapping[str, Any]) -> Picture:
    return opencv().ximgproc.l0Smooth(picture, None, settings["strength"], settings["kappa"])


def wmf_of_opencv(picture: Picture, settings: Mapping[str, Any]) -> Picture:
    cv2 = opencv()
    kind = cv2.ximgproc.WMF_EXP
    with ALONE:
        cv2.setRNGSeed(0)
        return cv2.ximgproc.weightedMedianFilter(
            picture, picture, settings["radius"], sigma=settings["sigma"], weightType=kind
        )


# OpenCV's own form of a filter, with the filter's own settings: nothing is tuned
OF_OPENCV = {"l0": ("l0Smooth (OpenCV)", l0_of_opencv), "wmf": ("weightedMedianFilter (OpenCV)", wmf_of_opencv)}
