"""How many feature maps a network holds at once, which is what its memory goes by."""

import weakref
from math import ceil
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from pnen_runtime.card import LIVE_MAPS

from .deploy import Deployed, strengths_of

SIDE = 32  # pixels of the image it is measured on
SPARE = 1.25  # ONNX Runtime against PyTorch: measured 0.95 for MemNet and 1.22 for RDN


def live_maps(model: nn.Module) -> int:
    """Maps of `channels` features, as large as the network's grid: at least the 13 that were measured for PNEN."""
    settings: Any = model.config
    deployed = Deployed(model)
    image = torch.zeros(1, settings.image_channels, SIDE, SIDE)
    maps = [torch.full((1, 1, SIDE, SIDE), float(least)) for least in strengths_of(model)[:1]]
    with torch.no_grad(), Watch() as watch:
        deployed(image, *maps)
    places = ceil(SIDE / getattr(settings, "grid", 1)) ** 2
    held = watch.most / (getattr(settings, "channels", 64) * places * image.element_size())
    return max(LIVE_MAPS, ceil(SPARE * held))


class Watch(TorchFunctionMode):
    """The most bytes of results that were alive at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self.now = 0
        self.alive: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, torch.Tensor):
                self.add(part.untyped_storage())
        return result

    def add(self, storage: torch.UntypedStorage) -> None:
        """Count it until it is freed; views share one."""
        name, size = storage.data_ptr(), storage.nbytes()
        if name not in self.alive:
            self.alive.add(name)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self.remove, name, size)

    def remove(self, name: int, size: int) -> None:
        """It was freed."""
        self.alive.discard(name)
        self.now -= size
