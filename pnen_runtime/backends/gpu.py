"""What all backends on a GPU do alike, whatever computes the network there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf

import numpy as np

from ..border import margin
from ..card import Card
from ..cuda import Cuda
from ..cuda.arrays import CudaArray
from ..cuda.lane import Lane, Lanes, Network
from ..cuda.tiles import smooth_tiled
from ..errors import UsageError
from ..plan import Sizes, most_at_once
from ..strength import batch_strength
from ..tiles import Blend, Progress, on_grid

log = logging.getLogger("pnen")


class GpuBackend:
    """A network on the GPU; its methods may be called from several threads, `lanes` of them at the same time.

    `open_network` makes the network of one lane, `release` frees what the networks share.
    """

    def __init__(
        self,
        name: str,
        card: Card,
        info: str,
        cuda: Cuda,
        open_network: Callable[[Lane], Network],
        *,
        lanes: int,
        profiles: tuple[Sizes, ...] = (),
        tiles_at_once: int = 8,
        release: Callable[[], None] = lambda: None,
    ):
        self.name, self.card, self.profiles = name, card, profiles
        self.info = f"{info}, memory by {cuda.name}"
        self._cuda, self._tiles_at_once, self._release = cuda, tiles_at_once, release
        self.lanes = Lanes(cuda, open_network, lanes)
        self._most: int | None = None  # tiles at once that the memory had room for, once there was too little
        self._closed = False

    def run(self, batch: np.ndarray, strength: np.ndarray | None = None) -> np.ndarray:
        """Smooth a (B, C, H, W) float32 batch in [0, 1]; same shape and type out, not yet clipped.

        `strength`, (B, 1, H, W), is for adjustable networks and no others, and by default the card's.
        """
        wanted = batch_strength(self.card, batch.shape, strength)
        with self.lanes.lend() as lane:
            return lane.run(np.ascontiguousarray(batch, np.float32), wanted)

    def smooth_tiled(
        self,
        picture: np.ndarray | CudaArray,
        out: np.ndarray | CudaArray,
        tile: int,
        step: int,
        blend: Blend,
        *,
        strength: float | np.ndarray | CudaArray | None = None,
        mix: float = 1.0,
        progress: Progress | None = None,
    ) -> None:
        """Smooth an (H, W, 1|3) picture into `out`; both are on the host, or both on the GPU.

        An adjustable network takes a number or an (H, W) map of strengths, on the host or on the GPU; by default its
        card's. Where memory lacks, fewer tiles go at once from then on, and the log says so; MemoryError where one is
        too many.
        """
        own = self.card.strength
        strength = own.get("default") if strength is None else strength
        if strength is not None and not own:
            raise UsageError(f"{self.name} runs a network of one strength, expected none to be asked for")
        limits = (own["least"], own["most"]) if own else (-inf, inf)
        grid, border, sides = self.card.grid, self.card.border, picture.shape[:2]
        beyond = (side + 2 * margin(side, tile, border, grid) for side in sides)
        batch = most_at_once(self.profiles, *(on_grid(side, tile, step, grid)[0] for side in beyond))
        if self.profiles and not batch:
            border, batch = "", most_at_once(self.profiles, *(on_grid(side, tile, step, grid)[0] for side in sides))
        if self.profiles and not batch:  # of this size alone
            grid, batch = 1, most_at_once(self.profiles, *(min(tile, side) for side in sides))
        batch = min(batch or self._tiles_at_once, self._most or self._tiles_at_once)
        with self.lanes.lend() as lane:
            while True:
                try:
                    smooth_tiled(
                        lane, picture, out, tile, step, blend, grid=grid, channels=self.card.channels, batch=batch,
                        strength=strength, limits=limits, border=border, mix=mix, progress=progress,
                    )  # fmt: skip
                    return
                except MemoryError as error:
                    if batch == 1:
                        raise
                    batch = self._most = batch // 2
                    log.warning("%s; going on with %d tiles at once", error, batch)
                    lane.shrink()

    def new_array(self, shape: tuple[int, ...], dtype: np.dtype) -> CudaArray:
        """An array on the GPU, freed with the last reference to it."""
        return CudaArray.new(self._cuda, shape, dtype)

    def device_milliseconds(self, shape: tuple[int, int, int], repeats: int) -> list[float]:
        """The network's own time for a (B, H, W) batch that is on the GPU already, for each repeat.

        An adjustable network has its card's strength.
        """
        with self.lanes.lend() as lane:
            whole = (shape[0], self.card.channels, *shape[1:])
            return lane.milliseconds(whole, repeats, self.card.strength.get("default"))

    def close(self) -> None:
        """Free everything, once the threads that run have ended. Closing twice does nothing."""
        if not self._closed:
            self._closed = True
            self.lanes.close()
            with self._cuda.active():
                self._release()
            self._cuda.close()
