"""Images: what a user gives, taken apart into frames for the network and put together again.

Here alone the order of axes and the type of the values change: outside, images are (H, W, C) of the user's type;
inside, batches are (B, C, H, W) float32 in [0, 1]. Letters: N frames, B batch, C channels, H×W pixels.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ImageError
from .metadata import to_srgb
from .photo import read_image, write_image

if TYPE_CHECKING:
    import PIL.Image

__all__ = ["Picture", "from_batch", "read_image", "read_rgb", "result_mode", "take_apart", "to_batch", "write_image"]

MINIMUM_SIDE = 16  # pixels; below, the coarsest reference map has a single pixel
TYPES = (("u", 1), ("u", 2), ("f", 2), ("f", 4), ("f", 8))  # kind and bytes, in any byte order
SLACK = 1e-4  # floats may leave [0, 1] by rounding, not by more
CUDA_ARRAYS = ("__cuda_array_interface__", "__dlpack_device__")  # how arrays of other libraries show themselves
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, what Pillow's convert("L") uses


@dataclass(frozen=True)
class Picture:
    """The frames to smooth, where their results go, and the way back to what the user gave."""

    frames: np.ndarray  # (N, H, W, 1|3), the user's values, not copied
    smooth: np.ndarray  # same shape and type, to be filled
    finish: Callable[[], Any]
    alpha: np.ndarray | None = None  # (N, H, W), of the frames; not copied

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, 1|3)."""
        return self.frames.shape


def may_lie_on_gpu(given: object) -> bool:
    """Whether it is an array of another library than numpy, which `cuda.arrays.as_cuda_array` knows to see."""
    return not isinstance(given, (np.ndarray, np.generic)) and any(hasattr(given, name) for name in CUDA_ARRAYS)


def take_apart(image: object, minimum_side: int = MINIMUM_SIDE) -> Picture:
    """See a PIL image, a file (path, bytes or file object) or an array as frames of one or three channels.

    Arrays are numpy's, or what has `__array__`; a tensor of PyTorch on the CPU comes back as one.

    Raises
    ------
    ImageError
        Unknown kind, shape or type, a side under `minimum_side` pixels, or floats that are not finite or not in [0, 1].
    """
    if isinstance(image, np.ndarray):
        return _from_array(_plain(image), minimum_side)
    if isinstance(image, (str, os.PathLike, bytes, bytearray, io.IOBase)):
        file: Any = bytes(image) if isinstance(image, bytearray) else image
        image = read_image(file)
    from PIL import Image

    if isinstance(image, Image.Image):
        return _from_pil(image, minimum_side)
    kind = f"{type(image).__module__}.{type(image).__qualname__}"
    if not hasattr(image, "__array__"):
        raise ImageError(f"expected a PIL image, a path or an array, got {kind}; numpy.asarray may convert it")
    try:
        array = np.asarray(image)
    except Exception as error:  # each library has its own
        raise ImageError(f"expected an array, got {kind} that cannot be one: {' '.join(str(error).split())}") from error
    picture = _from_array(array, minimum_side)
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(image, torch.Tensor):
        return picture
    return replace(picture, finish=lambda: torch.from_numpy(picture.finish()))


def _plain(array: np.ndarray) -> np.ndarray:
    """Without its subclass: a matrix stays of two axes whatever is asked of it; a mask would be lost."""
    if isinstance(array, np.ma.MaskedArray):
        raise ImageError("expected an array without a mask; fill it first")
    return np.asarray(array)


def _from_array(array: np.ndarray, minimum_side: int) -> Picture:
    _check_array(array, minimum_side)
    result = np.empty_like(array, subok=False)
    frames, smooth, alpha = _as_frames(array), _as_frames(result), None
    if frames.shape[3] in (2, 4):
        alpha = smooth[..., -1] = frames[..., -1]  # alpha passes through
        frames, smooth = frames[..., :-1], smooth[..., :-1]
    return Picture(frames, smooth, lambda: result, alpha)


def _check_array(array: np.ndarray, minimum_side: int) -> None:
    shape, dtype = array.shape, array.dtype
    if (dtype.kind, dtype.itemsize) not in TYPES:
        raise ImageError(f"expected uint8, uint16, or floats in [0, 1], got {dtype}; convert the array first")
    if not (len(shape) == 2 or (len(shape) in (3, 4) and shape[-1] in (1, 2, 3, 4))) or 0 in shape:
        hint = "; channels come last" if len(shape) in (3, 4) and shape[-3] in (1, 3, 4) else ""
        raise ImageError(f"expected (H, W), (H, W, 1|3|4) or (N, H, W, 3), got shape {shape}{hint}")
    height, width = shape[:2] if len(shape) < 4 else shape[1:3]
    if min(height, width) < minimum_side:
        raise ImageError(f"expected at least {minimum_side} pixels a side, got {width}x{height}; enlarge it first")
    if dtype.kind == "f":
        low, high = float(array.min()), float(array.max())  # either is NaN if one value is
        if not (low >= -SLACK and high <= 1 + SLACK):
            hint = "divide by 255 if it is an 8-bit picture" if 1 + SLACK < high <= 255 else "scale or repair it first"
            raise ImageError(f"expected {dtype} values in [0, 1], got {low:g} to {high:g}; {hint}")


def _as_frames(array: np.ndarray) -> np.ndarray:
    """A view of (H, W), (H, W, C) or (N, H, W, C) as (N, H, W, C)."""
    if array.ndim == 2:
        return array[None, :, :, None]
    return array[None] if array.ndim == 3 else array


# What the network sees of a mode, and so what comes back: palettes, print and other colour spaces become RGB, bits
# grey.
# High precision is kept: I;16 is uint16 and F is float32 in [0, 1].
SEEN_AS = {
    "L": "L",
    "LA": "LA",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "F": "F",
    "1": "L",
    "La": "LA",
    "RGBa": "RGBA",
    "PA": "RGBA",
    "P": "RGB",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
}
OWN_PROFILE = ("CMYK", "YCbCr", "LAB", "HSV")  # their ICC profile describes values that the result no longer has


def _from_pil(image: PIL.Image.Image, minimum_side: int) -> Picture:
    from PIL import Image

    info = dict(image.info)
    if image.mode.startswith("I"):
        pixels = _sixteen_bits(image)
    elif image.mode in SEEN_AS:
        seen = SEEN_AS[image.mode]
        if image.mode in ("P", "L", "RGB") and "transparency" in info:
            seen = "LA" if image.mode == "L" else "RGBA"
            del info["transparency"]  # it named a colour; now it is a channel
        info.pop("background", None)  # it named one too
        if image.mode in OWN_PROFILE:
            info.pop("icc_profile", None)
        print_colours = image.mode == "CMYK"
        pixels = np.asarray(to_srgb(image) if print_colours else image if seen == image.mode else image.convert(seen))
    else:
        raise ImageError(f"expected an image of mode {', '.join(SEEN_AS)} or I;16, got {image.mode}; convert it first")
    picture = _from_array(pixels, minimum_side)

    def finish() -> PIL.Image.Image:
        result = Image.fromarray(picture.finish())
        result.info = info
        return result

    return replace(picture, finish=finish)


def result_mode(image: PIL.Image.Image) -> str:
    """The mode in which an image of this mode comes back."""
    corner: PIL.Image.Image = take_apart(image.crop((0, 0, MINIMUM_SIDE, MINIMUM_SIDE))).finish()
    return corner.mode


def _sixteen_bits(image: PIL.Image.Image) -> np.ndarray:
    """Modes I;16, I;16B and I as native uint16."""
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ImageError(f"expected grey values of 16 bits, got {pixels.min()} to {pixels.max()}; scale them first")
    return pixels.astype(np.uint16)


def read_rgb(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image file as an (H, W, 3) uint8 array, upright and without alpha."""
    image = read_image(path)
    if image.mode.startswith("I"):  # convert() would cut 16 bits off at 255
        grey = np.rint(_sixteen_bits(image) / 257).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def full_scale(dtype: np.dtype) -> float:
    """The value of white: 255, 65535, or 1 for floats."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def to_batch(frames: np.ndarray, channels: int = 3, *, clip: bool = True) -> np.ndarray:
    """(B, H, W, 1|3) or (H, W, 1|3) of any type → (B, channels, H, W) float32 in [0, 1]; grey is repeated to RGB.

    Without `clip` floats outside [0, 1] are kept.
    """
    frames = frames if frames.ndim == 4 else frames[None]
    count, height, width, given = frames.shape
    if given != channels and given != 1:
        raise ImageError(f"expected a grey image for this network, got {given} channels; convert it first")
    batch = np.empty((count, channels, height, width), np.float32)
    np.divide(frames.transpose(0, 3, 1, 2), np.float32(full_scale(frames.dtype)), out=batch, casting="same_kind")
    return np.clip(batch, 0, 1, out=batch) if clip and frames.dtype.kind == "f" else batch


def from_batch(batch: np.ndarray, out: np.ndarray) -> None:
    """Put a (B, C, H, W) batch of floats into `out`, (B, H, W, 1|3): luma for grey, clipped, scaled and rounded."""
    values = batch.transpose(0, 2, 3, 1)
    if out.shape[3] == 1 and values.shape[3] == 3:
        values = (values @ LUMA)[..., None]
    values = np.clip(values, 0, 1)
    if out.dtype.kind != "f":
        values *= np.float32(full_scale(out.dtype))
        np.rint(values, out=values)
    out[...] = values
