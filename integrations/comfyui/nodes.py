"""The four nodes. IMAGE is (B, H, W, C) of floats in [0, 1], MASK (B, H, W) or (H, W), as everywhere in ComfyUI."""

from typing import Any, ClassVar

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from torch import Tensor

from pnen_runtime import Smoother, Upscaler, UsageError
from pnen_runtime.backends import BACKENDS
from pnen_runtime.backends.providers import PROVIDERS
from pnen_runtime.strength import from_mask

from .opened import Opened, names, open_model, path_of

SHARE = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01, "tooltip": "0: the picture, 1: the effect"})
STRENGTH = (
    "FLOAT",
    {"default": 0.0, "min": 0.0, "max": 255.0, "step": 0.001, "round": False,
     "tooltip": "In the model's unit: for L0 its λ, 0.002 to 0.2. 0: the model's default."},
)  # fmt: skip
MAP = ("MASK", {"tooltip": "Strength pixel by pixel: the model's least where black, the strength above where white."})


class Node:
    """What the four have in common: a model that the node holds, frame by frame, progress, and the way to stop it."""

    CATEGORY = "image/PNEN"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    TASK: ClassVar[str] = ""
    WIDGETS: ClassVar[dict[str, Any]] = {}
    OPTIONAL: ClassVar[dict[str, Any]] = {"mask": MAP}

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        backend = (["auto", *BACKENDS, *PROVIDERS], {"default": "auto", "advanced": True})
        return {
            "required": {"image": ("IMAGE",), "model": (names(cls.TASK),), **cls.WIDGETS},
            "optional": {**cls.OPTIONAL, "backend": backend},
        }

    @classmethod
    def IS_CHANGED(cls, model: str, **_: Any) -> int:
        return path_of(model).stat().st_mtime_ns

    def __init__(self) -> None:
        self.opened: Opened | None = None  # ComfyUI keeps a node as long as it is in the workflow, or memory is freed

    def open(self, model: str, backend: str) -> Smoother:
        self.opened = open_model(model, backend)
        return self.opened.smoother

    def each(self, runs: Any, image: Tensor, wanted: list[dict[str, Any]]) -> tuple[Tensor]:
        """Every frame of a batch through the model, each with its own wishes."""
        bar = comfy.utils.ProgressBar(len(image))
        frames = []
        for number, (frame, wishes) in enumerate(zip(image, wanted, strict=True)):

            def show(done: int, total: int, number: int = number) -> None:
                comfy.model_management.throw_exception_if_processing_interrupted()
                bar.update_absolute(number * total + done, len(image) * total)

            frames.append(run_where_it_lies(runs, frame, progress=show, **wishes))
        return (torch.stack(frames),)

    def smooth(self, image: Tensor, model: str, backend: str, strength: float | str | None, mask: Tensor | None,
               **wishes: float) -> tuple[Tensor]:  # fmt: skip
        smoother = self.open(model, backend)
        maps = strength_maps(smoother, strength, mask, image) if mask is not None else [strength] * len(image)
        return self.each(smoother, image, [{"strength": one, **wishes} for one in maps])


class Smooth(Node):
    """Details go, edges stay."""

    DESCRIPTION = "Edge-preserving smoothing. Strength 0 is the model's default; the mask says where more and less."
    WIDGETS: ClassVar[dict[str, Any]] = {"strength": STRENGTH, "mix": SHARE}

    def run(self, image: Tensor, model: str, strength: float, mix: float, mask: Tensor | None = None,
            backend: str = "auto") -> tuple[Tensor]:  # fmt: skip
        return self.smooth(image, model, backend, strength or None, mask, mix=mix)


class Detail(Node):
    """The other way: what smoothing would take away is added."""

    DESCRIPTION = "Brings details out: the picture, and so many times what smoothing would take away."
    WIDGETS: ClassVar[dict[str, Any]] = {
        "strength": STRENGTH,
        "detail": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.05}),
    }

    def run(self, image: Tensor, model: str, strength: float, detail: float, mask: Tensor | None = None,
            backend: str = "auto") -> tuple[Tensor]:  # fmt: skip
        return self.smooth(image, model, backend, strength or None, mask, detail=detail)


class Denoise(Node):
    """Gaussian noise goes."""

    DESCRIPTION = "Takes noise away. σ in levels of 255; each frame's is estimated unless you say it."
    TASK = "noise"
    WIDGETS: ClassVar[dict[str, Any]] = {
        "estimate": ("BOOLEAN", {"default": True, "tooltip": "σ of each frame, instead of the number below"}),
        "sigma": ("FLOAT", {"default": 25.0, "min": 0.0, "max": 50.0, "step": 0.5}),
        "mix": SHARE,
    }

    def run(self, image: Tensor, model: str, estimate: bool, sigma: float, mix: float, mask: Tensor | None = None,
            backend: str = "auto") -> tuple[Tensor]:  # fmt: skip
        if estimate and mask is not None:
            raise UsageError("a mask needs a σ that white means: turn estimate off, and set sigma")
        if not estimate:
            return self.smooth(image, model, backend, sigma, mask, mix=mix)
        strength = "auto" if self.open(model, backend).card.strength else None  # of one that knows one σ: that
        (clean,) = self.smooth(image.cpu(), model, backend, strength, None, mix=mix)  # noise is estimated on the host
        return (clean.to(image.device),)


class Enlarge(Node):
    """Two or three times as high and wide."""

    DESCRIPTION = "Enlarges pictures by what the model was trained for."
    TASK = "scale"
    WIDGETS: ClassVar[dict[str, Any]] = {"mix": SHARE}
    OPTIONAL: ClassVar[dict[str, Any]] = {}

    def run(self, image: Tensor, model: str, mix: float, backend: str = "auto") -> tuple[Tensor]:
        upscaler = Upscaler(self.open(model, backend))
        return self.each(upscaler, image, [{"mix": mix}] * len(image))


def run_where_it_lies(runs: Any, frame: Tensor, **wishes: Any) -> Tensor:
    """A frame on the GPU stays there where the model smooths on the GPU too; otherwise it goes over the host and back.

    What lies outside [0, 1], as other nodes may leave it, is clipped.
    """
    smooths = frame.is_cuda and isinstance(runs, Smoother) and frame.shape[-1] in (1, 3)
    if smooths and runs.plan(*frame.shape[:2]).gpu_bytes is not None:
        return runs.run(frame, **wishes)
    return runs.run(frame.cpu().clamp(0, 1), **wishes).to(frame.device)


def strength_maps(smoother: Smoother, strength: Any, mask: Tensor, image: Tensor) -> list[np.ndarray]:
    """(H, W) strengths for each frame; a mask of another size is fitted, as ComfyUI's own nodes do."""
    card = smoother.card
    if not card.strength:
        raise UsageError("this model knows one strength, so no mask can ask for more or less of it; take l0 or l0-fast")
    height, width = image.shape[1:3]
    masks = comfy.utils.common_upscale(mask.reshape(-1, 1, *mask.shape[-2:]), width, height, "bilinear", "disabled")
    if len(masks) not in (1, len(image)):
        raise UsageError(f"expected one mask, or one for each of {len(image)} pictures, got {len(masks)}")
    white = float(card.strength["default"] if strength is None else strength)
    maps = [from_mask(one[0].clamp(0, 1).cpu().numpy(), white, card) for one in masks]
    return maps if len(maps) > 1 else maps * len(image)
