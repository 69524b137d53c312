"""How large a network is: its parameters, its multiplications and its depth."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from .pnb import PyramidNonLocal


def count_parameters(model: nn.Module, *, norms: bool = True) -> int:
    """How many trainable numbers the network has; `norms=False` leaves out batch normalisation's.

    The paper's own figures leave them out for PNEN and MemNet, and count them for ResNet.
    """
    skipped = () if norms else (nn.BatchNorm2d,)
    return sum(p.numel() for m in model.modules() if not isinstance(m, skipped) for p in m.parameters(recurse=False))


def count_macs(model: nn.Module, height: int = 96, width: int = 96, *, attention: bool = True) -> int:
    """Multiplications with an addition that one image takes: convolutions and the two products of each attention.

    `attention=False` counts the convolutions only. Norms, activations, biases, sums and the softmax are not counted.
    The model may be on the meta device.
    """
    products = 0  # `attend` fills its inputs with zeros, so the counter would see more

    def note(block: Any, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        nonlocal products
        rows, columns = inputs[0].shape[2:]
        keys = sum(ceil(rows / scale) * ceil(columns / scale) for scale in block.scales)
        products += rows * columns * keys * (block.keys[0].out_channels + block.values[0].out_channels)

    with FlopCounterMode(display=False) as counter, _hooked(model, note), torch.no_grad():
        model(*blank(model, height, width))
    return counter.get_flop_counts()["Global"][torch.ops.aten.convolution] // 2 + attention * products


def depth(model: nn.Module) -> int:
    """The most convolutions that a value passes; a non-local block counts as one, as in the paper."""
    with _hooked(model, _as_one_convolution), torch.enable_grad():
        final = model(*(part.requires_grad_() for part in blank(model, 16, 16)))[-1]
    deepest: dict[Any, int] = {}
    waiting = [final.grad_fn]
    while waiting:
        node = waiting[-1]
        inputs = [entering for entering, _ in node.next_functions if entering is not None]
        unknown = [entering for entering in inputs if entering not in deepest]
        if unknown:
            waiting += unknown
            continue
        own = waiting.pop().name().startswith("ConvolutionBackward")
        deepest[node] = own + max((deepest[entering] for entering in inputs), default=0)
    return deepest[final.grad_fn]


def _as_one_convolution(_: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    channels = output.shape[1]
    return F.conv2d(inputs[0], output.new_zeros(channels, channels, 1, 1))


@contextmanager
def _hooked(model: nn.Module, hook: Callable[[Any, tuple[Tensor, ...], Tensor], Tensor | None]) -> Iterator[None]:
    """The hook behind every non-local block."""
    blocks = (module for module in model.modules() if isinstance(module, PyramidNonLocal))
    hooks = [block.register_forward_hook(hook) for block in blocks]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def blank(model: nn.Module, height: int, width: int) -> list[Tensor]:
    """An empty image of the network's kind, where the network is; of an adjustable one also strengths."""
    settings: Any = model.config
    channels = [settings.image_channels, *[1] * bool(getattr(settings, "strengths", ()))]
    return [torch.zeros(1, each, height, width, device=next(model.parameters()).device) for each in channels]
