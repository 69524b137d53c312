"""The measures of the trainer: each as a variant, and the process that trains in one of them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from pnen_runtime.errors import UsageError
from pnen_runtime.memory import peak_bytes_so_far
from pnen_train.config import Recipe, read_recipe
from pnen_train.data.batches import on_device
from pnen_train.data.targets import Pair
from pnen_train.data.tasks import channels_of
from pnen_train.device import pick_device
from pnen_train.training.allocator import keep_memory
from pnen_train.training.state import State, build_network
from pnen_train.training.step import Objective, objective_of, train_step

from .network import naive_attention, product_rate
from .worker import serve

PICTURES, SPARE = 8, 64  # made up; pixels a side beyond the crop


@dataclass(frozen=True)
class Variant:
    """Which measures are taken; the last one on top of all before it is what the key says."""

    key: str
    name: str
    fused_attention: bool = False
    channels_last: bool = False
    kept_memory: bool = False  # glibc's malloc gives nothing back
    fused_optimiser: bool = False
    images_on_device: bool = False  # or batches are cut on the CPU and copied
    tf32: bool = False
    precision: str = "fp32"  # of the recipe's [run], as is the next
    compile: bool = False


def cumulative(*measures: tuple[str, str, dict[str, Any]]) -> tuple[Variant, ...]:
    """A naive variant, and one after each measure: its key, its name, and what it changes."""
    variants = [Variant("naive", "naive: FP32")]
    for key, name, change in measures:
        variants.append(replace(variants[-1], key=key, name=f"+ {name}", **change))
    return tuple(variants)


ATTENTION = ("attention", "fused attention", {"fused_attention": True})
LAYOUT = ("channels-last", "channels last", {"channels_last": True})
OPTIMISER = ("optimiser", "fused Adam", {"fused_optimiser": True})
BF16 = ("bf16", "BF16 autocast", {"precision": "bf16"})
COMPILE = ("compile", "torch.compile, precision auto", {"compile": True, "precision": "auto"})
VARIANTS = {
    "cpu": cumulative(ATTENTION, LAYOUT, ("malloc", "malloc keeps memory", {"kept_memory": True}), OPTIMISER, BF16,
                      COMPILE),
    "cuda": cumulative(("tf32", "TF32", {"tf32": True}), ATTENTION, BF16, LAYOUT, OPTIMISER, COMPILE,
                       ("images", "data set on the GPU", {"images_on_device": True})),
}  # fmt: skip


def read_variants(text: str | None, kind: str) -> list[Variant]:
    """Variants of a kind of device by their keys, all without; the naive one is always there, and first."""
    every = VARIANTS[kind]
    wanted = [key.strip() for key in text.split(",")] if text else [variant.key for variant in every]
    for key in wanted:
        if key not in [variant.key for variant in every]:
            raise UsageError(f"expected variants out of {', '.join(v.key for v in every)}, got {key!r}")
    return [variant for variant in every if variant is every[0] or variant.key in wanted]


def made_up(recipe: Recipe) -> list[Pair]:
    """Pictures of noise with targets of other noise, (crop + SPARE, crop + SPARE, C) uint8: speed needs no more."""
    random, side = np.random.default_rng(0), recipe.data.crop + SPARE
    shape = (PICTURES, 2, side, side, channels_of(recipe.target))
    return [tuple(pair) for pair in random.integers(0, 256, shape, dtype=np.uint8)]


def step_flops(recipe: Recipe) -> int:
    """Floating-point operations of a step: two for each multiplication of convolutions and of both products of the
    attention, forward and backward. What a fused attention computes again is not counted, nor are the softmax, norms,
    activations, the loss and the optimiser."""
    side, counter = recipe.data.crop, FlopCounterMode(display=False)
    objective = Objective(build_network(recipe), recipe.optimiser, bf16=False)
    with naive_attention(), counter:
        crops = torch.zeros(1, channels_of(recipe.target), side, side)
        objective(crops, crops)[0].backward()
    return recipe.data.batch * counter.get_total_flops()


class Training:
    """A run in one variant, by the trainer's own functions; `job` names recipe, changes, device and variant."""

    def __init__(self, job: dict[str, Any]):
        torch.set_num_threads(job["threads"])
        self.variant, self.place = Variant(**job["variant"]), pick_device(job["device"])
        run = [f"run.precision={self.variant.precision}", f"run.compile={str(self.variant.compile).lower()}"]
        self.recipe = read_recipe(job["recipe"], [*job["changes"], *run])
        self.patches = ExitStack()  # to be closed only where something else runs in this process afterwards

    def load(self) -> dict[str, Any]:
        """Get ready and take the first step, which compiles; its times, and the precision of its products."""
        variant, recipe, place = self.variant, self.recipe, self.place
        if variant.kept_memory and not keep_memory():
            raise UsageError("expected glibc's malloc, got another: it cannot be told to keep memory")
        if not variant.fused_attention:
            self.patches.enter_context(naive_attention())
        torch.set_float32_matmul_precision("high" if variant.tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = variant.tf32
        pairs = made_up(recipe)
        self.state = State.fresh(recipe, pairs, place)
        self.images = on_device(pairs, place if variant.images_on_device else torch.device("cpu"))
        form = torch.channels_last if variant.channels_last else torch.contiguous_format
        self.state.model.to(memory_format=form)
        if not variant.fused_optimiser:
            for group in self.state.optimiser.param_groups:
                group["fused"] = None  # PyTorch's own choice
        objective = objective_of(self.state, place)
        self.objective = lambda *crops: objective(*(part.to(place, memory_format=form) for part in crops))
        precision = self.state.training["precision"]
        return self.steps(1) | {"precision": "tf32" if variant.tf32 and precision == "fp32" else precision}

    def steps(self, count: int) -> dict[str, Any]:
        """Train: CPU and wall seconds of a step on average, and the last loss."""
        cpu, wall = process_time(), perf_counter()
        for _ in range(count):
            loss, _ = train_step(self.state, self.images, self.objective)
        last = loss.item()  # waits for a GPU
        return {"cpu_s": (process_time() - cpu) / count, "wall_s": (perf_counter() - wall) / count, "loss": last}

    def peak(self) -> dict[str, Any]:
        """Most memory so far: of the process, or on a GPU of what PyTorch allocated there."""
        gpu = self.place.type == "cuda"
        return {"bytes": torch.cuda.max_memory_allocated(self.place) if gpu else peak_bytes_so_far()}

    def rate(self, precision: str) -> dict[str, Any]:
        """Operations of a large matrix product a second: of CPU time on a CPU."""
        gpu = self.place.type == "cuda"
        return {"rate": product_rate(precision, repeats=4, clock=perf_counter if gpu else process_time)}


if __name__ == "__main__":
    serve(Training)
