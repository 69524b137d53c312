"""Images in, smoothed images of the same kind out."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from .alpha import frames_seen, seen
from .backends import Backend, open_model
from .errors import EngineError, ImageError, NotFinite, PnenError, UsageError
from .forecast import Forecast, forecast, tile_pixels
from .frame import OnGpu, smooth_on_host, take_frames
from .info import Info, describe_task
from .photo import File
from .plan import Plan, Tile, check_tile, describe_tiles, plan_tiles
from .strength import estimates, map_on_gpu, share_of, wanted_strength
from .tiles import BLENDS, Blend, Progress, blend_for, of_frames

if TYPE_CHECKING:
    import PIL.Image
    from typing_extensions import Self

MEMORY_MB = 512
LEAST_TILE = 64  # pixels a side, that a tile becomes for lack of memory
Given = TypeVar("Given", bound="np.ndarray | PIL.Image.Image")
log = logging.getLogger("pnen")


class Smoother:
    """A network that smooths images, loaded and ready.

    Parameters
    ----------
    engine : path of a model file that pnen-export wrote, the name of a bundled model, or triton+grpc://HOST:8001/MODEL
    backend : "auto", one that `pnen_runtime.backends.open_backend` knows, or an object with the methods of `Backend`
    provider_options : of a backend that is another provider of ONNX Runtime: {"device_type": "GPU"}
    tile : pixels a side, "whole", or None for what the model card recommends. The network relates every pixel to the
        whole tile, so another tile is another (valid) result.
    step : pixels from one tile to the next; smaller is slower, and evener where tiles disagree
    blend : how tiles are joined: "feather" fades them into each other, "inner" drops their outer parts, "uniform" is
        the plain average of the paper's authors; None for what suits the network (`pnen_runtime.tiles.blend_for`)
    threads : CPU threads; by default all that this process may use
    memory : megabytes that one tile may take; larger tiles are made smaller, and `info` and the log say so. Of no
        effect on engines, whose profiles say what they take.
    rebuild : build an engine that does not fit this machine again, from the ONNX file beside it
    allow_host_code : run the native code that a version-compatible engine brings; only where its maker is trusted

    Raises
    ------
    UsageError
        There is no such model, backend or tile, or the backend does not take this kind of file.
    EngineError
        The file is truncated, damaged, foreign or for another machine.
    BackendMissing
        The backend's package is not installed, or no GPU is there.
    ParityError
        Another provider of ONNX Runtime computes something else than the CPU.

    Notes
    -----
    Several threads may call `run`; each needs the memory of its own tile. On a GPU pictures are cut, smoothed and
    blended there, and a CUDA array stays there.

    Examples
    --------
    >>> with Smoother("l0") as smoother:              # doctest: +SKIP
    ...     smooth = smoother.run(PIL.Image.open("photo.jpg"))
    """

    def __init__(
        self,
        engine: str | os.PathLike[str],
        *,
        backend: str | Backend = "auto",
        tile: Tile | None = None,
        step: int | None = None,
        blend: Blend | None = None,
        threads: int | None = None,
        memory: int = MEMORY_MB,
        rebuild: bool = False,
        allow_host_code: bool = False,
        provider_options: Mapping[str, Any] | None = None,
    ):
        if blend is not None and blend not in BLENDS:
            raise UsageError(f"expected the blend {' or '.join(BLENDS)}, got {blend!r}")
        if memory < 1:
            raise UsageError(f"expected a memory limit of at least 1 MB, got {memory}")
        self._name = os.fspath(engine)
        if isinstance(backend, str):
            backend = open_model(engine, backend, threads=threads, rebuild_engine=rebuild,
                                 allow_host_code=allow_host_code, provider_options=provider_options)  # fmt: skip
        self._backend: Backend | None = backend
        self.card, self._profiles = backend.card, getattr(backend, "profiles", ())
        self._tile, self._step, self._memory = tile, step, memory * 1_000_000
        self._pace: float | None = None  # seconds per pixel of a tile, of the last run
        self._blend: Blend = blend or blend_for(self.card.config)
        try:
            check_tile(self.card, tile, step)
        except UsageError:
            self.close()
            raise
        log.info("%s", self.info)

    @overload
    def run(self, image: Given, *, strength: Any = ..., mix: float = ..., detail: float | None = ...,
            progress: Progress | None = ...) -> Given: ...  # fmt: skip

    @overload
    def run(self, image: File, *, strength: Any = ..., mix: float = ..., detail: float | None = ...,
            progress: Progress | None = ...) -> PIL.Image.Image: ...  # fmt: skip

    @overload
    def run(self, image: OnGpu, *, strength: Any = ..., mix: float = ..., detail: float | None = ...,
            progress: Progress | None = ...) -> Any: ...  # fmt: skip

    def run(
        self, image: Any, *, strength: Any = None, mix: float = 1.0, detail: float | None = None,
        progress: Progress | None = None,
    ) -> Any:  # fmt: skip
        """Smooth an image.

        Parameters
        ----------
        image : PIL image, path, file object, bytes of a file, or array (H, W), (H, W, 1|3|4) or (N, H, W, 3) of uint8,
            uint16 or floats in [0, 1], of numpy or with `__array__`; or a list of them. Grey is smoothed as RGB, and
            its luma (ITU-R BT.601) comes back; alpha passes through. On a GPU also a CUDA array of these shapes and
            types (`__cuda_array_interface__` or DLPack); its floats are clipped to [0, 1].
        strength : of an adjustable model, a number or an (H, W) array of numbers within the range of its card, in the
            unit of what it imitates (λ of L0); by default the card's. With a CUDA array also a CUDA array (H, W). Of a
            denoiser σ in 8-bit levels, or "auto", its default: estimated from the picture, which the log tells.
        mix : 0 gives the image back, 1 the network's result, between them a blend of the two
        detail : from 0 on: the result is the image and so many times what smoothing takes away from it, so that
            details come out; not with `mix`
        progress : called after each tile with the tiles done and the tiles in all

        Returns
        -------
        The same kind, size and type, of a list a list; for a path, file object or bytes a PIL image, and a numpy array
        for arrays that are neither numpy's nor PyTorch's. PIL images that are neither grey nor RGB come back as RGB.

        Raises
        ------
        ImageError
            The image has another kind, type or shape, is under 16 pixels a side, or its values are not in [0, 1].
        UsageError
            The strength is outside the model's range, or the model has one strength, or enlarges: see `Upscaler`.
        """
        if "scale" in self.card.task:
            raise UsageError(f"{self._name} is for {describe_task(self.card)}, which Upscaler does: "
                             f"pnen_runtime.Upscaler({self._name!r}).run(image)")  # fmt: skip
        each = partial(self.run_network, strength=strength, mix=mix, detail=detail)
        if isinstance(image, (list, tuple)):
            return [each(one, progress=progress and of_frames(progress, number, len(image)))
                    for number, one in enumerate(image)]  # fmt: skip
        return each(image, progress=progress)

    def run_network(
        self, image: Any, *, strength: Any = None, mix: float = 1.0, detail: float | None = None,
        progress: Progress | None = None,
    ) -> Any:  # fmt: skip
        """As `run`, of one image, whatever the network is for: of one that enlarges, the luma that was enlarged."""
        backend, share = self._opened(), share_of(mix, detail)
        picture = take_frames(backend, image, self.card.minimum_side)
        count, height, width, channels = picture.shape
        if channels > self.card.channels:
            raise ImageError(f"expected a grey image for this network, got {channels} channels; convert it first")
        on_device: Any = map_on_gpu(self.card, strength, height, width, not isinstance(picture.frames, np.ndarray))
        frames = frames_seen(picture) if estimates(self.card, strength) else None
        wanted = wanted_strength(self.card, strength, height, width, frames) if on_device is None else on_device
        for number, (frame, smooth) in enumerate(seen(picture)):
            show = progress and of_frames(progress, number, count)
            self._smooth_frame(backend, frame, smooth, strength=wanted, mix=share, progress=show)
        return picture.finish()

    def _smooth_frame(self, backend: Backend, frame: Any, smooth: Any, **wanted: Any) -> None:
        """In the largest tiles that memory has room for."""
        height, width = frame.shape[:2]
        run = getattr(backend, "smooth_tiled", None) or partial(smooth_on_host, backend, self.card)
        while True:
            plan = self._plan(height, width)
            began = time.perf_counter()
            try:
                run(frame, smooth, plan.tile, plan.step, self._blend, **wanted)
                self._pace = (time.perf_counter() - began) / tile_pixels(self.card, plan, height, width)[1]
                return
            except NotFinite:
                raise EngineError(f"{self._name} gave values that are not numbers on {backend.name}; "
                                  "export it in fp32, or take a smaller tile") from None  # fmt: skip
            except MemoryError as error:
                smaller = min(plan.tile, max(height, width)) // 2
                if smaller < LEAST_TILE:
                    raise
                log.warning("%s; going on with tiles of %d, whose result may differ", error, smaller)
                self._tile, self._step = smaller, None

    def plan(self, height: int, width: int) -> Forecast:
        """What a picture of this size will take: tiles, an upper estimate of memory, and, after a first run, time."""
        plan, gpu = self._plan(height, width), hasattr(self._backend, "smooth_tiled")
        return forecast(self.card, plan, height, width, gpu=gpu, profiles=tuple(self._profiles), pace=self._pace)

    def warmup(self, *sizes: tuple[int, int]) -> None:
        """Smooth a grey picture of each (height, width), so that the first real one of that size is not slower."""
        for height, width in sizes:
            grey = np.full((height, width, self.card.channels), 128, np.uint8)
            self.run_network(grey, strength=self.card.strength.get("default"))

    def _plan(self, height: int, width: int) -> Plan:
        plan = plan_tiles(self.card, height, width, self._memory, self._tile, self._step, self._profiles)
        level = logging.WARNING if plan.limited else logging.DEBUG
        log.log(level, f"{width}x{height} pixels in tiles of {plan.tile} at step {plan.step}: {plan.why}")
        return plan

    @property
    def info(self) -> Info:
        """Model, task, backend and why, precision, tiles and why."""
        backend, card = self._opened(), self.card
        tiles = describe_tiles(card, self._memory, self._tile, self._step, self._profiles)
        return Info(self._name, card.network, describe_task(card), backend.info, card.precision, card.target, tiles)

    def _opened(self) -> Backend:
        if self._backend is None:
            raise PnenError(f"the smoother of {self._name} is closed; make a new one")
        return self._backend

    def close(self) -> None:
        """Free everything; `run` may not be called again. Closing twice does nothing."""
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    def __repr__(self) -> str:
        return f"<Smoother {self._name}: {'closed' if self._backend is None else self.info}>"

    def _repr_html_(self) -> str:
        return self.info._repr_html_()

    def __reduce__(self) -> Any:
        raise PnenError(f"the smoother of {self._name} cannot go to another process; make one there")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
