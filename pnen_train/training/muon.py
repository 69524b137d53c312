"""Muon for convolutional networks: steps that are orthogonal matrices (their worth: docs/benchmarks/training.md).

Keller Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; PyTorch's own takes matrices only.
"""

from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM, BETAS, TINY = 0.95, (0.9, 0.999), 1e-8
QUINTIC = (3.4445, -4.7750, 2.0315)  # of the authors: singular values end near 1, roughly from 0.5 to 1.5
ITERATIONS = 5
STEP = 0.8  # root mean square of a matrix's step, in units of the rate; Adam's are of this size too


class Muon(torch.optim.Optimizer):
    """Muon for kernels between features, Adam for all else: the entry, exits' last layers, biases, norms.

    The kernel of a convolution is taken as the matrix of its output channels. `lr` is Adam's rate; the step of a matrix
    has `STEP` times that as its root mean square, so that both follow one schedule.
    """

    def __init__(self, network: nn.Module, lr: float, weight_decay: float = 0.0, features: int = 16):
        inner: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for parameter in network.parameters():
            hidden = parameter.ndim == 4 and min(parameter.shape[:2]) >= features
            (inner if hidden else others).append(parameter)
        groups = [{"params": part, "matrices": part is inner} for part in (inner, others) if part]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one; weights without a gradient stay."""
        for group in self.param_groups:
            move = self._matrix if group["matrices"] else self._others
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                if group["weight_decay"]:
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                move(weight, weight.grad, self.state[weight], group["lr"])

    @staticmethod
    def _matrix(weight: Tensor, gradient: Tensor, state: dict[str, Tensor], rate: float) -> None:
        if not state:
            state["mean"] = torch.zeros_like(weight)
        mean = state["mean"].lerp_(gradient, 1 - MOMENTUM)
        ahead = gradient.lerp(mean, MOMENTUM).movedim(1, 3)  # where channels come last, this is how they lie in memory
        matrix = ahead.flatten(1)
        direction = orthogonal(matrix).view(ahead.shape).movedim(3, 1)
        weight.add_(direction, alpha=-rate * STEP * max(matrix.shape) ** 0.5)

    @staticmethod
    def _others(weight: Tensor, gradient: Tensor, state: dict[str, Tensor], rate: float) -> None:
        if not state:
            state.update(mean=torch.zeros_like(weight), square=torch.zeros_like(weight), count=torch.zeros(()))
        mean = state["mean"].lerp_(gradient, 1 - BETAS[0])
        square = state["square"].lerp_(gradient.square(), 1 - BETAS[1])
        count = state["count"].add_(1).item()
        scale = (square / (1 - BETAS[1] ** count)).sqrt_().add_(TINY)
        weight.addcdiv_(mean, scale, value=-rate / (1 - BETAS[0] ** count))


def orthogonal(matrix: Tensor) -> Tensor:
    """(R, C) → (R, C), roughly the nearest matrix with orthogonal rows (or columns): singular values of about 1."""
    wide = matrix.shape[0] <= matrix.shape[1]
    result = matrix if wide else matrix.mT
    result = result / (result.norm() + TINY)
    first, third, fifth = QUINTIC
    for _ in range(ITERATIONS):
        square = result @ result.mT
        result = torch.addmm(result, torch.addmm(square, square, square, beta=third, alpha=fifth), result, beta=first)
    return result if wide else result.mT
