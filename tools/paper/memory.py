"""The memory of one training step or one forward pass, each measured in a process of its own."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pnen_runtime.errors import BackendMissing
from pnen_train.config import Optimiser
from pnen_train.device import pick_device, put
from pnen_train.models import build, pnb
from pnen_train.models.size import blank
from pnen_train.training.loss import training_loss

STATUS = Path("/proc/self/status")


def peak_bytes(
    network: str, settings: Mapping[str, Any], side: int, batch: int, *, training: bool, scores: bool, device: str
) -> int:
    """The most memory that the network, its activations and (training) gradients and Adam's state take at once.

    On CUDA what PyTorch allocated; on a CPU by how much the resident memory of a fresh process grew, which holds what
    the allocator keeps for later as well. `scores` keeps the score matrices of the attention, as plain code does,
    instead of running it on the fused kernel.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_measured, network, dict(settings), side, batch, training, scores, device).result()


def _measured(
    network: str, settings: dict[str, Any], side: int, batch: int, training: bool, scores: bool, device: str
) -> int:
    place = pick_device(device)
    torch.zeros(1, device=place)
    before = resident("VmRSS") if place.type == "cpu" else 0
    with _plain_attention() if scores else _nothing():
        _step(put(build(network, settings), place), side, batch, training)
    return resident("VmHWM") - before if place.type == "cpu" else torch.cuda.max_memory_allocated(place)


def _step(model: Any, side: int, batch: int, training: bool) -> None:
    images = torch.rand_like(blank(model, side, side)[0].expand(batch, -1, -1, -1).contiguous())
    if not training:
        with torch.inference_mode():
            model.eval()(images)
        return
    optimiser = torch.optim.Adam(model.train().parameters(), fused=True)
    training_loss(model(images), torch.rand_like(images), Optimiser(), None).backward()
    optimiser.step()


def resident(field: str) -> int:
    """Bytes that this process holds (VmRSS), or at most held (VmHWM)."""
    if not STATUS.exists():
        raise BackendMissing("expected Linux, whose /proc says how much memory a process holds; or take --device cuda")
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def _softmax(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return torch.softmax(query @ key.mT, dim=-1) @ value


@contextmanager
def _plain_attention() -> Iterator[None]:
    fused, pnb.attend = pnb.attend, _softmax
    try:
        yield
    finally:
        pnb.attend = fused


@contextmanager
def _nothing() -> Iterator[None]:
    yield
