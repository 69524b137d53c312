"""Engines on TensorRT and TensorRT-RTX, which differ by the module alone."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from ..cache import kernels_file
from ..cuda import Buffer, Cuda, open_cuda
from ..cuda.driver import Graph, capture
from ..cuda.lane import Lane, Shape
from ..engine_file import EngineFile, misfit, rebuild_advice
from ..errors import EngineError, Misfit, UsageError
from ..plan import Sizes, fitting_profile
from .gpu import GpuBackend
from .tensorrt_api import Contexts, import_tensorrt, load_engine, make_log, refusals

LANES = 4  # threads at once
SHAPES = 8  # for which a lane keeps a context and a CUDA graph


def open_trt(
    file: EngineFile, why: str = "asked for", cuda: Cuda | None = None, *, allow_host_code: bool = False
) -> GpuBackend:
    """Load an engine on the first GPU.

    Raises BackendMissing where a package or the GPU is missing, EngineError where the engine does not fit either,
    UsageError where it brings native code and the caller does not allow that.
    """
    compatible = bool((file.card.engine.get("options") or {}).get("version_compatible"))
    if compatible and not allow_host_code:
        raise UsageError(
            f"{file.path} is version-compatible, so it brings native code that runs in this process; where you trust "
            "whoever made it, say so: allow_host_code=True, or --allow-host-code"
        )
    trt = import_tensorrt(file.flavour, compatible)
    cuda = cuda or open_cuda()
    try:
        reason = misfit(file.card, trt.__version__, cuda.gpu)
        if reason:
            advice = rebuild_advice(file.path, file.card)
            raise Misfit(f"{file.path} does not fit this machine: {reason}; {advice}")
        with cuda.active():
            engine = Engine(trt, file, compatible)
    except BaseException:
        cuda.close()
        raise
    name = "tensorrt-rtx" if file.flavour == "rtx" else "tensorrt"
    return GpuBackend(
        name, file.card, f"{name} {trt.__version__} on {cuda.gpu.name} ({why})", cuda, engine.open_network,
        lanes=LANES, profiles=engine.profiles, release=engine.close,
    )  # fmt: skip


class Engine:
    """A deserialized plan, which all lanes share."""

    def __init__(self, trt: Any, file: EngineFile, version_compatible: bool):
        self.log = make_log(trt)
        failure, advice = f"{file.path}: TensorRT cannot load it", f"; {rebuild_advice(file.path, file.card)}"
        with refusals(failure, self.log, advice):
            self._runtime, self._engine = load_engine(trt, self.log, file.plan, version_compatible)
        if self._engine is None:
            raise EngineError(f"{failure}: {self.log.reason()}{advice}")
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        kinds = {str(self._engine.get_tensor_dtype(name)) for name in names}
        self.path, self.adjustable = file.path, bool(file.card.strength)
        wanted = ["image", "smooth", *["strength"] * self.adjustable]
        if sorted(names) != wanted or kinds != {str(trt.float32)}:
            ends = "'image' and 'strength'" if self.adjustable else "'image'"
            raise EngineError(
                f"{file.path}: expected float32 {ends} in and 'smooth' out, as its card says, got {', '.join(names)}"
                f"{advice}"
            )
        self.contexts = Contexts(trt, self._engine, kernels_file(file.plan))
        self.profiles: tuple[Sizes, ...] = self._sizes("image")
        if self.adjustable and self._sizes("strength") != self.profiles:
            raise EngineError(f"{file.path}: expected the same sizes of 'image' and 'strength' in each profile{advice}")

    def _sizes(self, name: str) -> tuple[Sizes, ...]:
        """What each profile takes of an input."""
        numbers = range(self._engine.num_optimization_profiles)
        shapes = [self._engine.get_tensor_profile_shape(name, number) for number in numbers]
        return tuple(tuple((b, h, w) for b, _, h, w in sizes) for sizes in shapes)

    def open_network(self, lane: Lane) -> TrtNetwork:
        return TrtNetwork(self, lane)

    def close(self) -> None:
        """Free the engine, after its contexts."""
        self.contexts.keep_kernels()
        del self.contexts, self._engine, self._runtime


@dataclass
class Ready:
    """A context that is set to one shape, and its CUDA graph from the second use on."""

    context: Any
    scratch_bytes: int
    addresses: tuple[int, ...] = ()
    graph: Graph | None = None
    uses: int = 0  # with these addresses


class TrtNetwork:
    """The engine for one lane: a context for each of its latest shapes; the scratch memory is one for all of them."""

    def __init__(self, engine: Engine, lane: Lane):
        self._engine, self._lane, self._scratch = engine, lane, Buffer(lane.cuda)
        self._ready: OrderedDict[Shape, Ready] = OrderedDict()

    def enqueue(self, shape: Shape, image: int, strength: int, smooth: int, stream: Any) -> None:
        """Smooth the batch; launches the CUDA graph of this shape where there is one.

        A graph reads the strengths when it runs, so it holds for any of them.
        """
        if shape not in self._ready:
            self._ready[shape] = self._make_ready(shape, stream)
        self._ready.move_to_end(shape)
        ready = self._ready[shape]
        if ready.scratch_bytes > self._scratch.size:  # also where one that was larger did not fit, and the last is gone
            self._lane.cuda.synchronize(stream)  # earlier work may still use it
            self._scratch.need(ready.scratch_bytes)
        ends = {"image": image, "smooth": smooth} | ({"strength": strength} if self._engine.adjustable else {})
        if ready.addresses != (addresses := (*ends.values(), self._scratch.pointer)):
            self._set_addresses(ready, ends)
            ready.addresses, ready.uses = addresses, 0
        if ready.graph is None and ready.uses == 1 and not self._engine.contexts.owns_graphs:
            # The first use of a shape may allocate and tune inside TensorRT, which cannot be captured.
            ready.graph = capture(stream.handle, lambda: self._execute(ready, stream))
        ready.uses += 1
        if ready.graph is not None:
            ready.graph.launch(stream.handle)
        else:
            self._execute(ready, stream)

    def _execute(self, ready: Ready, stream: Any) -> None:
        if not ready.context.execute_async_v3(stream.handle):
            raise EngineError(f"{self._engine.path}: TensorRT cannot run it: {self._engine.log.reason()}")

    def _make_ready(self, shape: Shape, stream: Any) -> Ready:
        """A new context for this shape, or the one that has waited longest."""
        batch, _, height, width = shape
        profile = fitting_profile(self._engine.profiles, batch, height, width)
        if profile is None:
            raise EngineError(f"{self._engine.path} has no profile for {batch}x{height}x{width}")
        if len(self._ready) < SHAPES:
            context = self._engine.contexts.open()
        else:
            _, oldest = self._ready.popitem(last=False)
            self._lane.cuda.synchronize(stream)  # it may still run
            self._forget_graph(oldest)
            context = oldest.context
        failure = f"{self._engine.path} refuses {batch}x{height}x{width}"
        with refusals(failure, self._engine.log):
            context.set_optimization_profile_async(profile, stream.handle)
            shapes = {"image": shape} | ({"strength": (batch, 1, height, width)} if self._engine.adjustable else {})
            if not all(context.set_input_shape(name, sides) for name, sides in shapes.items()):
                raise EngineError(f"{failure}: {self._engine.log.reason()}")
            return Ready(context, self._engine.contexts.scratch_bytes(context))

    def _set_addresses(self, ready: Ready, ends: dict[str, int]) -> None:
        self._forget_graph(ready)
        ready.addresses = ()  # until all are set: one that is refused leaves the context with some of both
        if not all(ready.context.set_tensor_address(name, address) for name, address in ends.items()):
            raise EngineError(f"{self._engine.path}: TensorRT refuses an address: {self._engine.log.reason()}")
        self._engine.contexts.give_scratch(ready.context, self._scratch.pointer, self._scratch.size)

    @staticmethod
    def _forget_graph(ready: Ready) -> None:
        if ready.graph is not None:
            ready.graph.free()
        ready.graph = None

    def close(self) -> None:
        for ready in self._ready.values():
            self._forget_graph(ready)
        self._ready.clear()
        self._scratch.free()
