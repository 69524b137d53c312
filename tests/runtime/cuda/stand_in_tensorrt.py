"""A stand-in for the modules tensorrt 8.6, tensorrt 10 and tensorrt_rtx, whose network turns every plane upside down.

An adjustable one then multiplies every pixel, clipped to [0, 1], by its strength.

It shows that the runtime calls what such a module has, in an order it allows, with memory that is there. It proves
nothing about TensorRT.
"""

from __future__ import annotations

from enum import Enum
from math import prod
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

SCRATCH = 1000  # bytes per pixel of a batch


class Severity(Enum):
    INFO, WARNING, ERROR = range(3)


class Logger:
    pass


class Context:
    """As strict as TensorRT: profile, shape, scratch and both addresses come before the first execution."""

    def __init__(self, engine: Any, owns_memory: bool):
        assert not owns_memory, "the scratch memory is for the runtime to give"
        self._engine, self.profile, self.scratch, self.shapes, self.addresses = engine, None, None, {}, {}
        self.executions, self.refused = 0, None
        engine.contexts.append(self)

    def set_optimization_profile_async(self, number: int, stream: int) -> bool:
        assert stream
        if not 0 <= number < len(self._engine.sizes) or self._engine.refuses_profiles:
            self._engine.logger.log(Severity.ERROR, "a profile\nin use")
            raise RuntimeError("Error in set optimization profile async.")  # the module never returns False here
        self.profile, self.shapes = number, {}
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name in self._engine.names and name != "smooth" and self.profile is not None
        least, _, most = self._engine.get_tensor_profile_shape(name, self.profile)
        self.shapes, self.scratch = self.shapes | {name: shape}, None
        return all(low <= side <= high for low, side, high in zip(least, shape, most, strict=True))

    @property
    def shape(self) -> tuple[int, ...]:
        image = self.shapes["image"]
        same = {"image": image, "strength": (image[0], 1, *image[2:])}
        assert self.shapes == {name: same[name] for name in self._engine.names if name != "smooth"}, "not all are set"
        return image

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert address and name in self._engine.names
        if name != self.refused:
            self.addresses[name] = address
        return name != self.refused

    def _use_scratch(self, pointer: int, size: int) -> None:
        self.scratch = (pointer, size)

    def execute_async_v3(self, stream: int) -> bool:
        engine, cuda = self._engine, self._engine.cuda
        assert self.shape and set(self.addresses) == set(engine.names)
        if engine.fails:
            engine.logger.log(Severity.ERROR, "no\nluck")
            return False
        self.executions += 1
        queue = SimpleNamespace(handle=stream)
        pointer, size = self.scratch
        assert pointer and size >= SCRATCH * prod(self.shape)
        cuda.fill(pointer, size, queue)
        batch, channels, high, wide = self.shape
        pixels = high * wide
        for plane in range(batch * channels):
            begin, smooth = 4 * plane * pixels, self.addresses["smooth"] + 4 * plane * pixels
            last_row = self.addresses["image"] + begin + 4 * (high - 1) * wide
            flipped = pointer + 4 if engine.adjustable else smooth
            arguments = [np.uint64(last_row), np.int64(-4 * wide), np.int64(4), np.int64(4), np.int32(1),
                         np.uint64(flipped)]  # fmt: skip
            place = [np.int32(value) for value in (1, 1, high, wide, 0, 0, 1, wide, 0, high, wide, 0)]
            grid = (-(-wide // 32), -(-high // 8), 1)
            cuda.launch("cut_f32", grid, (32, 8, 1), arguments + place, queue)
            if engine.adjustable:  # as one tile of one row, weighed
                cuda.fill(smooth, 4 * pixels, queue)
                strength = self.addresses["strength"] + 4 * (plane // channels) * pixels
                given = (flipped, flipped, smooth, engine.one, strength)
                place = [np.int32(value) for value in (1, 1, 1, pixels, 0, 0, 1, pixels)]
                arguments = [*map(np.uint64, given), np.float32(1), np.uint64(pointer), *place]
                cuda.launch("blend", (-(-pixels // 32), 1, 1), (32, 8, 1), arguments, queue)
        return True


class NewContext(Context):
    def update_device_memory_size_for_shapes(self) -> int:
        assert self.shape
        return SCRATCH * prod(self.shape)

    def set_device_memory(self, pointer: int, size: int) -> None:
        self._use_scratch(pointer, size)


class OldContext(Context):
    def __setattr__(self, name: str, value: Any) -> None:
        if name == "device_memory":
            self._use_scratch(value, self._engine.device_memory_size)
        super().__setattr__(name, value)


class Engine:
    def __init__(self, logger: Any, sizes: list, cuda: Any, dtype: str, names: tuple[str, ...]):
        self.logger, self.sizes, self.cuda, self._dtype, self.names = logger, sizes, cuda, dtype, names
        self.adjustable = "strength" in names
        if self.adjustable:
            self.one = cuda.allocate(4)
            cuda.fill_floats(self.one, 1.0, 1, stream := cuda.stream())
            cuda.synchronize(stream)
        self.contexts: list[Context] = []
        self.fails = self.refuses_profiles = self.narrow = False
        self.num_io_tensors, self.num_optimization_profiles = len(names), len(sizes)

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_dtype(self, name: str) -> str:
        return self._dtype

    def get_tensor_profile_shape(self, name: str, number: int) -> list:
        if name == "image":
            return self.sizes[number]
        return [(batch, 1, high + self.narrow, wide) for batch, _, high, wide in self.sizes[number]]


class OldEngine(Engine):
    @property
    def device_memory_size(self) -> int:
        return SCRATCH * max(prod(most) for _, _, most in self.sizes)

    def create_execution_context_without_device_memory(self) -> Context:
        return OldContext(self, owns_memory=False)


class NewEngine(Engine):
    def create_execution_context(self, strategy: str) -> Context:
        return NewContext(self, owns_memory=strategy != "user managed")


class Kernels:
    """What TensorRT-RTX compiles."""

    def __init__(self) -> None:
        self.data = b""

    def deserialize(self, data: bytes) -> bool:
        self.data = data
        return True

    def serialize(self) -> bytes:
        return self.data + b"."


class RtxEngine(Engine):
    def create_runtime_config(self) -> Any:
        config = SimpleNamespace(strategy=None, cache=None, cuda_graph_strategy="off", create_runtime_cache=Kernels)
        config.set_execution_context_allocation_strategy = lambda strategy: setattr(config, "strategy", strategy)
        config.set_runtime_cache = lambda cache: setattr(config, "cache", cache)
        return config

    def create_execution_context(self, config: Any) -> Context:
        assert config.cache is not None and config.cuda_graph_strategy == "whole"
        return NewContext(self, owns_memory=config.strategy != "user managed")


ENGINES = {"tensorrt 8.6": OldEngine, "tensorrt 10": NewEngine, "tensorrt_rtx": RtxEngine}


def make_module(kind: str, cuda: Any, sizes: list, version: str, dtype: str = "float32") -> Any:
    """A module of this kind that loads every plan as the same network with these (B, C, H, W) profiles.

    A plan that holds the word adjustable has the input `strength`; with the word narrow that takes other sizes.
    """
    made: list[Engine] = []

    class Runtime:
        def __init__(self, logger: Any):
            if version.startswith("0"):
                logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self._logger, self.engine_host_code_allowed = logger, False

        def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
            if b"broken" in plan:
                self._logger.log(Severity.ERROR, "magic tag does not match")
                return None
            names = ("image", "strength", "smooth") if b"adjustable" in plan else ("image", "smooth")
            made.append(ENGINES[kind](self._logger, sizes, cuda, dtype, names))
            made[-1].narrow = b"narrow" in plan
            return made[-1]

    module: Any = ModuleType(kind.split()[0])
    module.__version__, module.ILogger, module.Runtime, module.float32 = version, Logger, Runtime, "float32"
    module.made = made
    if kind != "tensorrt 8.6":
        module.ExecutionContextAllocationStrategy = SimpleNamespace(STATIC="static", USER_MANAGED="user managed")
    if kind == "tensorrt_rtx":
        module.IRuntimeCache = Kernels
        module.CudaGraphStrategy = SimpleNamespace(DISABLED="off", WHOLE_GRAPH_CAPTURE="whole")
    return module
