"""Rows of the comparison: every way in a process of its own, all taking turns."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pnen_export.inputs import photograph
from pnen_export.parity import compare
from pnen_runtime.card import Card
from pnen_runtime.errors import PnenError
from pnen_runtime.image import to_batch
from pnen_runtime.plan import peak_bytes

from .files import Files
from .machine import free_mb, gpu_free_mb
from .process import Process, Settings
from .ways import REFERENCE, Case, Way

ENOUGH = 3  # repeats after which a way that has had its seconds ends
FOR_GOOD = (4, 5)  # exit codes of what is missing here, or does not fit this machine: no other size will help
Show = Callable[[str], None]


@dataclass
class Row:
    """One way at one case; without times where it was not run, and `reason` says why."""

    case: str
    size: str
    setting: str
    tiles: int
    way: str
    name: str
    precision: str
    device: str = ""
    info: str = ""
    reason: str = ""
    repeats: int = 0
    first_ms: float | None = None  # with compiling, where the way compiles
    best_ms: float | None = None
    median_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    network_ms: float | None = None  # median
    peak_mb: float | None = None
    psnr_db: float | None = None  # to the reference; 200 where equal
    gflop: float | None = None
    gflop_per_s: float | None = None  # of the network alone
    share: float | None = None  # of the matrix product in this precision on this device
    speedup: float | None = None  # the reference's median ÷ this one
    times_ms: list[float] = field(default_factory=list)
    network_times_ms: list[float] = field(default_factory=list)

    def summarise(self) -> None:
        """Fill in what follows from the times."""
        self.repeats, self.best_ms = len(self.times_ms), min(self.times_ms)
        self.median_ms, self.p90_ms, self.p99_ms = np.percentile(self.times_ms, [50, 90, 99]).tolist()
        self.network_ms = float(np.median(self.network_times_ms))
        self.gflop_per_s = self.gflop / self.network_ms * 1e3

    def compare_rate(self, rates: dict[str, float]) -> None:
        """Fill in the share of the matrix product; `rates` as `Bench.rates`."""
        rate = rates.get(f"{self.device} {self.precision}")
        if self.gflop_per_s and rate:
            self.share = 1e9 * self.gflop_per_s / rate


class Bench:
    """Everything that is measured once, and what cannot run here."""

    def __init__(self, model: str, ways: list[Way], settings: Settings, folder: Path, card: Card):
        self.model, self.ways, self.settings, self.folder, self.card = model, ways, settings, folder, card
        self.missing: dict[str, str] = {}  # way → reason
        self.rates: dict[str, float] = {}  # "cpu fp32" → operations a second

    def build(self, way: Way, job: dict[str, Any]) -> dict[str, Any]:
        """Build an engine under the Python that has the builder."""
        with Process(job | {"program": way.program}, self.settings, self.folder) as process:
            return process.ask("build")

    def measure_rates(self) -> None:
        """Matrix products in every precision that a way needs: the best so far. PyTorch's FP16 on a CPU has none."""
        with Process({"program": "torch"}, self.settings, self.folder) as process:
            for precision in dict.fromkeys(way.precision for way in self.ways):
                answer = process.ask("rate", precision)
                key = f"{answer['device']} {precision}"
                if answer["rate"]:
                    self.rates[key] = max(answer["rate"], self.rates.get(key, 0))

    def measure(self, case: Case, flops: int, files: Files, show: Show) -> list[Row]:
        """A row for each way that is not missing, the reference first."""
        np.save(self.folder / "input.npy", make_input(case, self.card.channels))
        processes: dict[str, Process] = {}
        rows: dict[str, Row] = {}
        with ExitStack() as stack:
            for way in self.ways:
                if way.key in self.missing:
                    continue
                row = Row(str(case), case.size, case.setting, case.tiles, way.key, way.name, way.precision,
                          gflop=flops / 1e9)  # fmt: skip
                rows[way.key] = row
                row.reason = self._too_much(way, case, flops)
                if row.reason:
                    continue
                with self._failing(row):
                    show(f"{case}: files for {way.name}")
                    file = files.file_of(way, case)
                    job = {"program": way.program, "precision": way.precision, "compiled": way.compiled,
                           "naive": way.program == "torch" and way.target == "onnx", "model": self.model,
                           "file": file and str(file), "input": str(self.folder / "input.npy"), "setting": case.setting,
                           "shape": case.shape, "step": case.step}  # fmt: skip
                    processes[way.key] = stack.enter_context(Process(job, self.settings, self.folder))
            self._warm_up(processes, rows, show)
            self._take_turns(processes, rows, show)
            self._finish(processes, rows)
        return [row for row in rows.values() if row.way not in self.missing]

    def _failing(self, row: Row) -> ExitStack:
        """A context in which a PnenError becomes the row's reason, or that of the way for good."""

        def caught(_kind: object, error: BaseException | None, _trace: object) -> bool:
            if not isinstance(error, PnenError):
                return False
            row.reason = str(error).replace(f"{self.folder}{os.sep}", "")
            if error.exit_code in FOR_GOOD and not row.times_ms:
                self.missing[row.way] = row.reason
            if row.way == REFERENCE.key:
                raise error
            return True

        stack = ExitStack()
        stack.push(caught)
        return stack

    def _warm_up(self, processes: dict[str, Process], rows: dict[str, Row], show: Show) -> None:
        for key, process in processes.items():
            row = rows[key]
            show(f"{row.case}: warm-up of {row.name}")
            with self._failing(row):
                before = gpu_free_mb()
                answer = process.ask("load")
                row.device, row.info = answer["device"], answer["info"]
                row.first_ms = process.ask("warm")["ms"]
                spent = 0.0
                for _ in range(self.settings.warm_up - 1):
                    if spent < 250 * self.settings.seconds:
                        spent += process.ask("warm")["ms"]
                if row.device == "cuda" and before is not None:
                    row.peak_mb = before - gpu_free_mb()

    def _take_turns(self, processes: dict[str, Process], rows: dict[str, Row], show: Show) -> None:
        for repeat in range(self.settings.repeats):
            for key, process in processes.items():
                row = rows[key]
                spent = sum(row.times_ms) / 1e3 / self.settings.seconds
                if row.reason or spent > (1 if repeat >= ENOUGH else 3):
                    continue
                show(f"{row.case}: {row.name}, {repeat + 1} of {self.settings.repeats}")
                with self._failing(row):
                    answer = process.ask("run")
                    row.times_ms.append(answer["ms"])
                    if row.device == "cpu":
                        row.network_times_ms.append(answer["network_ms"])

    def _finish(self, processes: dict[str, Process], rows: dict[str, Row]) -> None:
        expected = None  # stays so where the reference would take too long
        for key, process in processes.items():
            row = rows[key]
            if row.reason:
                continue
            with self._failing(row):
                if row.device == "cuda":
                    row.network_times_ms = process.ask("device", len(row.times_ms))["network_ms"]
                found = process.ask("finish", str(self.folder / "result.npy"))
                row.peak_mb = found["peak_bytes"] / 1e6 if row.device == "cpu" else row.peak_mb
                result = as_floats(np.load(self.folder / "result.npy"))
                row.summarise()
                if key == REFERENCE.key:
                    expected = result
                if expected is not None:
                    row.psnr_db = compare(result, expected, "fp32").psnr
                    row.speedup = rows[REFERENCE.key].median_ms / row.median_ms

    def _too_much(self, way: Way, case: Case, flops: int) -> str:
        """Why this is not even tried; empty where it is."""
        rate = self.rates.get("cuda fp32") or self.rates.get("cpu fp32")
        device_rate = self.rates.get("cpu fp32") if way.program == "onnxruntime-cpu" else rate
        seconds = flops / device_rate if device_rate else 0
        if seconds > self.settings.longest:
            return f"would take {seconds:,.0f} s a run, at the speed of a matrix product"
        on_cpu = way.program == "onnxruntime-cpu" or (way.program == "torch" and "cpu fp32" in self.rates)
        if on_cpu or way.key == "torch-naive":
            batch, height, width = case.shape
            needed = batch * peak_bytes(replace(self.card, target=way.target), height, width) / 1e6
            free = free_mb() if on_cpu else gpu_free_mb()
            if free is not None and needed > free / 2:
                return f"would need {needed:,.0f} MB, and half of what is free is {free / 2:,.0f} MB"
        return ""


def make_input(case: Case, channels: int) -> np.ndarray:
    """The photograph: (B, C, H, W) float32 crops of it for a batch, else all of it as (H, W, C) uint8 of this size."""
    picture, (height, width) = photograph()[..., :channels], case.image
    if case.setting != "batch":
        small = Image.fromarray(picture.squeeze())
        return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).reshape(height, width, channels)
    places = np.random.default_rng(0)
    picture = np.pad(picture, ((0, height), (0, width), (0, 0)), mode="wrap")
    corners = zip(places.integers(0, 321, case.shape[0]), places.integers(0, 481, case.shape[0]), strict=True)
    return to_batch(np.stack([picture[top : top + height, left : left + width] for top, left in corners]), channels)


def as_floats(result: np.ndarray) -> np.ndarray:
    """Values in [0, 1]."""
    return result / np.float32(255) if result.dtype == np.uint8 else result
