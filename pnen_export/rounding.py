"""What half-precision kernels make of a network, shown on a CPU that has none."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from .grid import DeployedEntry


@contextmanager
def stored_in_half(network: nn.Module) -> Iterator[None]:
    """Round all that enters or leaves a layer of a float32 network to half: FP16 storage and FP32 sums.

    PyTorch's own half kernels are hundreds of times slower on a CPU. Weights should hold half values already.
    """
    containers = (nn.ModuleList, nn.Identity, DeployedEntry)  # of the last, the convolution alone is in half
    layers = [layer for name, layer in network.named_modules() if name and not isinstance(layer, containers)]
    hooks = [layer.register_forward_pre_hook(_inputs_rounded) for layer in layers]
    hooks += [layer.register_forward_hook(lambda _, _inputs, output: rounded(output)) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def rounded(features: Tensor) -> Tensor:
    """The nearest half values, as float32; beyond 65504 infinite."""
    return features.half().float()


def _inputs_rounded(_layer: nn.Module, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    """None is the strength of a network that has one."""
    return tuple(part if part is None else rounded(part) for part in inputs)
