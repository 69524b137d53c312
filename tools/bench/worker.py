"""One way in a process of its own: reads commands from its standard input, answers each with a line of JSON.

It needs torch only where it runs PyTorch, so another Python that has TensorRT can run it.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from pnen_runtime.backends import open_backend
from pnen_runtime.errors import PnenError
from pnen_runtime.memory import peak_bytes_so_far
from pnen_runtime.smoother import Smoother
from pnen_runtime.tiles import starts

TILES_AT_ONCE = 8  # on a GPU, where the engine takes as many


class Run:
    """The network, its input, and the time that passes; `job` is what `measure.start` wrote."""

    def __init__(self, job: dict[str, Any]):
        self.job = job
        self.network_ms = 0.0
        self.result: np.ndarray | None = None

    def load(self) -> dict[str, Any]:
        """Open the way; its own line about itself."""
        job = self.job
        if job["program"] == "torch":
            import torch

            from bench.network import TorchBackend

            torch.set_num_threads(job["threads"])
            self.backend: Any = TorchBackend(
                job["model"], job["precision"], naive=job["naive"], compiled=job["compiled"]
            )
        else:
            self.backend = open_backend(Path(job["file"]), job["program"], threads=job["threads"])
        self.input = np.load(job["input"])
        self.on_device = hasattr(self.backend, "device_milliseconds")
        if not self.on_device:
            self._run, self.backend.run = self.backend.run, self._run_timed
        self.call = self.backend.run
        if job["setting"] != "batch":
            tile = "whole" if job["setting"] == "whole" else None
            self.call = Smoother(job["model"], backend=self.backend, tile=tile, memory=10**9).run_network  # luma too
        return {"info": self.backend.info, "device": "cuda" if self.on_device else "cpu"}

    def _run_timed(self, *given: np.ndarray) -> np.ndarray:
        start = perf_counter()
        smooth = self._run(*given)
        self.network_ms += 1e3 * (perf_counter() - start)
        return smooth

    def warm(self) -> dict[str, Any]:
        """Run what a run repeats: of an image in tiles the first row of them."""
        start = perf_counter()
        self.call(self.input[: self.job["shape"][1]] if self.job["setting"] == "tiles" else self.input)
        return {"ms": 1e3 * (perf_counter() - start)}

    def run(self) -> dict[str, Any]:
        """From array to array; and in it, on a CPU, the network alone."""
        self.network_ms, start = 0.0, perf_counter()
        self.result = self.call(self.input)
        return {"ms": 1e3 * (perf_counter() - start), "network_ms": self.network_ms}

    def device(self, repeats: int) -> dict[str, Any]:
        """The network alone, on data that is on the device: each repeat the sum over all batches of tiles."""
        batch, height, width = self.job["shape"]
        shapes = Counter({(batch, height, width): 1})
        if self.job["setting"] == "tiles":
            rows, columns = (
                len(starts(side, tile, self.job["step"]))
                for side, tile in zip(self.input.shape, (height, width), strict=False)
            )
            most = max((sizes[2][0] for sizes in self.backend.profiles if self._takes(sizes)), default=TILES_AT_ONCE)
            full, rest = divmod(columns, min(columns, most))
            shapes = Counter({(min(columns, most), height, width): rows * full})
            if rest:
                shapes[rest, height, width] += rows
        times = [count * np.array(self.backend.device_milliseconds(shape, repeats)) for shape, count in shapes.items()]
        return {"network_ms": np.sum(times, axis=0).tolist()}

    def _takes(self, sizes: Any) -> bool:
        """Whether a profile has the tile."""
        low, _, high = sizes
        return all(
            least <= side <= most for least, side, most in zip(low[1:], self.job["shape"][1:], high[1:], strict=True)
        )

    def finish(self, path: str) -> dict[str, Any]:
        """Keep the result, and say what it took."""
        np.save(path, self.result)
        return {"peak_bytes": peak_bytes_so_far()}

    def rate(self, precision: str) -> dict[str, Any]:
        """Operations a second of a matrix product."""
        import torch

        from bench.network import product_rate, torch_device

        torch.set_num_threads(self.job["threads"])
        return {"rate": product_rate(precision), "device": torch_device()}

    def build(self) -> dict[str, Any]:
        """Build an engine; its path."""
        from pnen_export.engine_command import make_engine

        start = perf_counter()
        made = make_engine(Path(self.job["onnx"]), self.job["flavour"], shapes=self.job["shapes"],
                           folder=Path(self.job["folder"]), precision=self.job["precision"])  # fmt: skip
        return {"path": str(made[0]), "seconds": perf_counter() - start}


def serve(make: Callable[[dict[str, Any]], Any]) -> None:
    """Answer with the methods of what `make` makes of the job, until the input ends. Prints go to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    run = make(json.loads(sys.argv[1]))
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        try:
            answer = getattr(run, command)(*arguments)
        except Exception as error:
            code = error.exit_code if isinstance(error, PnenError) else 1
            what = str(error) if isinstance(error, PnenError) else f"{type(error).__name__}: {error}"
            answer = {"error": " ".join(what.split()), "code": code}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(Run)
