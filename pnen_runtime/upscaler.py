"""Small images in, enlarged and sharpened images of the same kind out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .alpha import without_hidden
from .bicubic import enlarge
from .errors import UsageError
from .image import from_batch, full_scale, take_apart
from .photo import File
from .smoother import Given, Info, Smoother
from .tiles import Progress, of_frames
from .ycbcr import to_rgb, to_ycbcr

if TYPE_CHECKING:
    import PIL.Image
    from typing_extensions import Self


class Upscaler:
    """A super-resolution network, loaded and ready: it enlarges images by the factor `scale` that it was trained for.

    The image is enlarged by bicubic interpolation, then the network sharpens its luma; colour and alpha stay bicubic.
    A grey image is its own luma.

    Parameters
    ----------
    engine : path of a model file that pnen-export wrote, the name of a bundled model, or a `Smoother` that is open
    settings : those of `Smoother`

    Raises
    ------
    UsageError
        The model does something else than super-resolution, or there is no such model or setting.
    EngineError, BackendMissing
        As for `Smoother`.

    Examples
    --------
    >>> with Upscaler("memnet.ort.onnx") as upscaler:     # doctest: +SKIP
    ...     large = upscaler.run("small.png")
    """

    def __init__(self, engine: str | os.PathLike[str] | Smoother, **settings: Any):
        self._smoother = engine if isinstance(engine, Smoother) else Smoother(engine, **settings)
        self.card = self._smoother.card
        if "scale" not in self.card.task:
            info = self.info
            self.close()
            raise UsageError(f"expected a super-resolution model, got {info.model} for {info.task}; use Smoother")
        self.scale = int(self.card.task["scale"])

    @overload
    def run(self, image: Given, *, mix: float = ..., progress: Progress | None = ...) -> Given: ...

    @overload
    def run(self, image: File, *, mix: float = ..., progress: Progress | None = ...) -> PIL.Image.Image: ...

    def run(self, image: Any, *, mix: float = 1.0, progress: Progress | None = None) -> Any:
        """Enlarge an image.

        Parameters
        ----------
        image : PIL image, path, file object, bytes of a file, or array (H, W), (H, W, 1|3|4) or (N, H, W, 3) of uint8,
            uint16 or floats in [0, 1], of numpy or CPU tensors of PyTorch, or a list of them
        mix : 0 gives the bicubic image, 1 the network's result, between them a mix
        progress : called after each tile of a frame with the tiles done and the tiles in all

        Returns
        -------
        The same kind and type, `scale` times as high and wide; for a path a PIL image.

        Raises
        ------
        ImageError
            The image has another kind, type or shape, is too small, or its values are not in [0, 1].
        """
        if isinstance(image, (list, tuple)):
            return [self.run(one, mix=mix, progress=progress and of_frames(progress, number, len(image)))
                    for number, one in enumerate(image)]  # fmt: skip
        picture = take_apart(image, minimum_side=-(-self.card.minimum_side // self.scale))
        picture.smooth[...] = picture.frames
        given = picture.finish()  # of the kind and type that comes back, with alpha
        pixels = np.asarray(given)
        frames = pixels.reshape(*picture.shape[:3], -1)
        large = np.stack([self._enlarged(frame, mix, progress) for frame in frames])  # (N, scale·H, scale·W, C)
        if pixels.ndim < 4:
            large = large[0, ..., 0] if pixels.ndim == 2 else large[0]
        if isinstance(given, np.ndarray):
            return large
        if hasattr(given, "new_tensor"):  # of PyTorch
            return given.new_tensor(large)
        from PIL import Image

        result = Image.fromarray(large)
        result.info = given.info
        return result

    def _enlarged(self, frame: np.ndarray, mix: float, progress: Progress | None) -> np.ndarray:
        """(H, W, C) → (scale·H, scale·W, C) of the same type; the channels are Y, RGB, or either and alpha."""
        values = frame.astype(np.float64) / full_scale(frame.dtype)
        colour = values.shape[2] > 2
        if values.shape[2] in (2, 4):
            values[..., :-1] = without_hidden(values[..., :-1], values[..., -1] > 0)
        if colour:
            values[..., :3] = to_ycbcr(values[..., :3])
        large = enlarge(values, self.scale)
        luma = np.clip(large[..., 0], 0, 1).astype(np.float32)
        large[..., 0] = self._smoother.run_network(luma, mix=mix, progress=progress)
        if colour:
            large[..., :3] = to_rgb(large[..., :3])
        result = np.empty(large.shape, frame.dtype)
        from_batch(large.transpose(2, 0, 1)[None], result[None])
        return result

    @property
    def info(self) -> Info:
        """As that of `Smoother`."""
        return self._smoother.info

    def close(self) -> None:
        """Free everything; `run` may not be called again. Closing twice does nothing."""
        self._smoother.close()

    def __repr__(self) -> str:
        return f"<Upscaler x{self.scale} of {self._smoother!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
