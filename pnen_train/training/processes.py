"""Several processes that train one network, on one machine or many, as torchrun starts them."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pnen_runtime.errors import UsageError

from ..device import pick_device

PATIENCE = timedelta(hours=12)  # of the others, while the first one validates or makes targets


@dataclass(frozen=True)
class Processes:
    """How many there are and which this one is; number 0 alone writes and speaks."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, objective: nn.Module) -> nn.Module:
        """The module with gradients averaged, and batches normalised, over all processes."""
        if self.count == 1:
            return objective
        device = next(objective.parameters()).device
        if device.type == "cuda":
            objective = nn.SyncBatchNorm.convert_sync_batchnorm(objective)
        else:
            for module in objective.modules():
                if type(module) is nn.BatchNorm2d:
                    module.__class__ = BatchNormOfAll  # the same parameters under the same names
        return DistributedDataParallel(objective)

    def mean(self, values: Tensor) -> Tensor:
        """Of each value, over all processes."""
        if self.count > 1:
            dist.all_reduce(values)
        return values / self.count

    def any(self, flag: bool) -> bool:
        """Whether it is set in one of them."""
        return self.mean(torch.tensor(float(flag))).item() > 0

    def wait(self) -> None:
        """Until all are here."""
        self.any(False)

    @contextmanager
    def first_before_the_others(self) -> Iterator[None]:
        """Process 0 does the block while the others wait; then they do."""
        if self.leads:
            yield
        self.wait()
        if not self.leads:
            yield

    def check_batches(self, **batches: int) -> None:
        """UsageError where one of the settings of [data] cannot be divided evenly."""
        for name, batch in batches.items():
            if batch % self.count:
                even = batch // self.count * self.count + self.count
                raise UsageError(f"expected {name} in [data] to be what {self.count} processes can share evenly, "
                                 f"got {batch}; --set data.{name}={even}")  # fmt: skip


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[tuple[Processes, str]]:
    """This process among those that torchrun started, and its device: each takes a GPU of its own where there are.

    A process on a GPU that fails leaves without a farewell, for which it would wait; torchrun then ends the others.
    """
    count, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if count == 1:
        yield ALONE, device
        return
    place = pick_device(device)
    if place.type == "cuda":
        own, there = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
        if place.index is not None or own >= there:
            raise UsageError(f"expected --device cuda or auto and at most {there} processes on this machine, one for "
                             f"each GPU, got {device} for process {own + 1}; lower --nproc-per-node")  # fmt: skip
        device = f"cuda:{own}"
        torch.cuda.set_device(own)
    if rank:
        logging.getLogger("pnen").setLevel(logging.ERROR)
    dist.init_process_group("cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(rank, count), device
    except BaseException:
        if place.type != "cuda":
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


class SumOfAll(torch.autograd.Function):
    """The sum of a tensor over all processes; so is its gradient, since each process uses the sum."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return SumOfAll.forward(_ctx, gradient)


class BatchNormOfAll(nn.BatchNorm2d):
    """BatchNorm2d over the batches of all processes, equally large; PyTorch's own knows GPUs only."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        count = dist.get_world_size()
        with torch.autocast(x.device.type, enabled=False):
            mean = SumOfAll.apply(x.float().mean((0, 2, 3))) / count
            centred = x.float() - mean[:, None, None]
            variance = SumOfAll.apply(centred.square().mean((0, 2, 3))) / count
            self._remember(mean.detach(), variance.detach(), count * x.numel() // x.shape[1])
            scale = self.weight * torch.rsqrt(variance + self.eps)
            return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, samples: int) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * samples / (samples - 1), self.momentum)
