"""Frames of a video as RGB pixels and back, by the film's own matrix, range, depth and chroma."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .errors import ImageError
from .video_file import pyav

UNSPECIFIED, BT709, SMPTE170M = 2, 1, 6  # ITU-T H.273, as FFmpeg's AVCOL_SPC
SCALER = {BT709: 1, 4: 4, 5: 5, SMPTE170M: 5, 7: 7, 9: 9}  # matrices by the numbers of libswscale
LIMITED, FULL = 1, 2
HDR = {16: "PQ", 18: "HLG"}  # transfers whose values mean light far beyond what the networks have seen
CHROMA = {(64, 64): "444", (32, 64): "422"}  # of what is left of 64x64; all else becomes 4:2:0


class Colours:
    """There and back for all frames of a film, as its first frame says.

    Frames become (H, W, 3) uint8, of more than 8 bits uint16. What the film does not say of its matrix is taken as
    players do: BT.709 from 720 lines on, below BT.601.

    Raises
    ------
    ImageError
        The frames are HDR, or their matrix is none that can be turned into RGB.
    """

    def __init__(self, path: Path, first: Any, scale: int = 1):
        av = pyav()
        shape, matrix = first.format, int(first.colorspace)
        if first.color_trc in HDR:
            raise ImageError(f"{path}: expected a video of standard range, got HDR ({HDR[first.color_trc]}); convert "
                             "it to BT.709 first")  # fmt: skip
        guess = BT709 if first.height >= 720 or shape.is_rgb else SMPTE170M
        known = matrix not in (0, UNSPECIFIED)
        if known and matrix not in SCALER:
            raise ImageError(f"{path}: expected colours of BT.601, BT.709 or BT.2020, got matrix {matrix} of H.273; "
                             "convert it first")  # fmt: skip
        self._path, self._size = path, (first.width, first.height)
        self.width, self.height = first.width * scale, first.height * scale
        self._matrix = SCALER[matrix if known else guess]
        # untagged films stay so, but for those of another size, of which players would think otherwise
        self.tagged_matrix = matrix if known else UNSPECIFIED if scale == 1 and not shape.is_rgb else guess
        full = first.color_range == FULL or shape.name.startswith("yuvj")
        self._range = FULL if full and not shape.is_rgb else LIMITED
        self.tagged_range = FULL if self._range == FULL else 0 if first.color_range == 0 else LIMITED
        self.dtype = np.uint16 if max(part.bits for part in shape.components) > 8 else np.uint8
        self._rgb = "rgb24" if self.dtype == np.uint8 else "rgb48le"
        grey = len(shape.components) < 3 and not shape.has_palette
        left = (64, 64) if shape.is_rgb or shape.has_palette else (shape.chroma_width(64), shape.chroma_height(64))
        odd = self.width % 2 or self.height % 2  # which subsampled chroma does not take
        chroma = "444" if odd else "420" if grey else CHROMA.get(left, "420")
        self.pix_fmt = f"yuv{chroma}p{'' if self.dtype == np.uint8 else '10le'}"
        flags = av.video.reformatter.Interpolation
        # bicubic chroma comes back nearly as it was; libswscale's default loses one level of luma
        self._how = flags.BICUBIC | flags.ACCURATE_RND | flags.FULL_CHR_H_INT | flags.FULL_CHR_H_INP
        self._there, self._larger, self._back = (av.video.reformatter.VideoReformatter() for _ in range(3))

    def pixels(self, frame: Any) -> tuple[Any, np.ndarray]:
        """A frame in RGB, and its pixels; ImageError where it is of another size than the first."""
        if (frame.width, frame.height) != self._size:
            raise ImageError(f"{self._path}: expected frames of {self._size[0]}x{self._size[1]}, as the first is, got "
                             f"{frame.width}x{frame.height}; cut the video there")  # fmt: skip
        rgb = self._there.reformat(frame, format=self._rgb, src_colorspace=self._matrix, src_color_range=self._range,
                                   interpolation=self._how)  # fmt: skip
        return rgb, rgb.to_ndarray()

    def back(self, rgb: Any, pixels: np.ndarray) -> Any:
        """These pixels, of the new size, in the film's colours, with times and side data (captions) of the frame."""
        frame = self._larger.reformat(rgb, self.width, self.height, interpolation="POINT")
        rows = np.frombuffer(frame.planes[0], self.dtype).reshape(self.height, -1)
        rows[:, : 3 * self.width] = pixels.reshape(self.height, -1)
        frame = self._back.reformat(frame, format=self.pix_fmt, dst_colorspace=self._matrix,
                                    dst_color_range=self._range, interpolation=self._how)  # fmt: skip
        frame.colorspace, frame.color_range = self.tagged_matrix, self.tagged_range
        frame.pict_type = 0  # the encoder chooses
        return frame
