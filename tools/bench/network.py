"""The network in PyTorch: as a backend, as a number of operations, and what the device could do at most."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from time import perf_counter
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pnen_export.deploy import strengths_of
from pnen_export.record import make_card
from pnen_runtime.backends.ort import import_onnxruntime
from pnen_runtime.errors import BackendMissing
from pnen_runtime.strength import batch_strength
from pnen_train.checkpoint import load_checkpoint

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
PRODUCT_SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices that measure the device


def attend_naively(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """`pnen_train.models.attention.attend` with all scores in memory: (B, N, d), (B, R, d), (B, R, e) → (B, N, e)."""
    return torch.softmax(query @ key.mT, dim=-1) @ value


@contextmanager
def naive_attention() -> Iterator[None]:
    """Networks that run inside hold all scores."""
    with mock.patch("pnen_train.models.pnb.attend", attend_naively):
        yield


def torch_device() -> str:
    """Where PyTorch runs here."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class TorchBackend:
    """A checkpoint's network as a backend of `Smoother`: eager or compiled, channels last, on the GPU if there is one.

    In half precision features and weights are half, the image and the sum of the exits float32, as in exported files.
    """

    profiles = ()

    def __init__(self, model: str, precision: str = "fp32", *, naive: bool = False, compiled: bool = False):
        self.device = torch_device()
        if precision == "fp16" and self.device == "cpu":
            raise BackendMissing("PyTorch in FP16 needs an NVIDIA GPU, since it is unusably slow on a CPU; none here")
        checkpoint = load_checkpoint(model)
        network: nn.Module = checkpoint.model().to(self.device, memory_format=torch.channels_last)
        for child in network.children():  # the network's own parameters weigh images
            child.to(DTYPES[precision])
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # FP32 means FP32
        torch.backends.cudnn.benchmark = True
        self._network = torch.compile(network, dynamic=False) if compiled else network
        self._naive = naive
        self.card = replace(make_card(checkpoint), target="onnx" if naive else "ort")
        where = torch.cuda.get_device_name() if self.device == "cuda" else f"{torch.get_num_threads()} CPU threads"
        self.name, self.info = "torch", f"torch {torch.__version__}, {where}"
        if self.device == "cuda":
            self.device_milliseconds = self._device_milliseconds

    def run(self, batch: np.ndarray, strength: np.ndarray | None = None) -> np.ndarray:
        return self._forward(*self._given(torch.from_numpy(batch), strength)).cpu().numpy()

    def _given(self, batch: Tensor, strength: np.ndarray | None = None) -> list[Tensor]:
        """What the network takes, on its device: of an adjustable one with strengths, by default the card's."""
        wanted = batch_strength(self.card, tuple(batch.shape), strength)
        maps = [] if wanted is None else [torch.as_tensor(wanted).expand(len(batch), 1, *batch.shape[2:])]
        return [part.to(self.device) for part in (batch, *maps)]

    @torch.inference_mode()
    def _forward(self, *given: Tensor) -> Tensor:
        if not self._naive:
            return self._network(*given)[-1].float()
        with naive_attention():
            return self._network(*given)[-1].float()

    def _device_milliseconds(self, shape: tuple[int, int, int], repeats: int) -> list[float]:
        """The network's own time for a (B, H, W) batch that is on the GPU already, for each repeat."""
        given = self._given(torch.rand(shape[0], self.card.channels, *shape[1:]))
        times = []
        for repeat in range(repeats + 1):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            self._forward(*given)
            end.record()
            end.synchronize()
            if repeat:
                times.append(begin.elapsed_time(end))
        return times

    def close(self) -> None:
        self._network = None


def count_flops(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """Floating-point operations of one (B, H, W) batch: two for each multiplication of convolutions and of attention.

    Those that the trained network asks for, whatever a way adds or saves: no padded channels, no softmax.
    """
    channels, strengths = model.config.image_channels, [1] * bool(strengths_of(model))
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), naive_attention(), counter:
        ends = [channels, *strengths]
        deepcopy(model).to("meta")(*(torch.empty(shape[0], end, *shape[1:], device="meta") for end in ends))
    return counter.get_total_flops()


def product_rate(precision: str, repeats: int = 8, clock: Callable[[], float] = perf_counter) -> float | None:
    """Operations a second of a large matrix product here: the best repeat; of FP32 on a CPU, of the better program.

    By `clock`, in seconds. None for FP16 on a CPU, where it takes PyTorch a minute.
    """
    device = torch_device()
    if (device, precision) == ("cpu", "fp16"):
        return None
    side = PRODUCT_SIDE[device]
    a, b = torch.rand(2, side, side, device=device).to(DTYPES[precision])
    products = [lambda: a @ b]
    if (device, precision) == ("cpu", "fp32"):
        products.append(_onnxruntime_product(a.numpy(), b.numpy()))
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"

    def seconds(product) -> float:
        start = clock()
        product()
        if device == "cuda":
            torch.cuda.synchronize()
        return clock() - start

    return 2 * side**3 / min(seconds(product) for _ in range(repeats) for product in products)


def _onnxruntime_product(a: np.ndarray, b: np.ndarray):
    from onnx import helper

    onnxruntime = import_onnxruntime()

    ends = [helper.make_tensor_value_info(name, 1, a.shape) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", ends[:2], ends[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": a, "b": b})
