"""How long things take, and on which device ONNX Runtime runs each node."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

from pnen_export.inputs import photograph
from pnen_runtime.backends.ort import CPU, CUDA, import_onnxruntime, open_session, read_card
from pnen_runtime.errors import PnenError
from pnen_runtime.smoother import Smoother

from .engines import ROOT, command
from .lab import Lab
from .subject import Figures, Subject, Wrong

SECONDS = 1.5  # for the repeats of one row
IMAGES = {
    "481x321": (321, 481),
    "500x400": (400, 500),
    "720p": (720, 1280),
    "1080p": (1080, 1920),
    "12MP": (3000, 4000),
}
BATCHES = ((1, 96, 96), (8, 96, 96), (32, 96, 96), (1, 321, 481))
COMPUTING = {"Conv", "FusedConv", "NhwcConv", "MatMul", "FusedMatMul", "Gemm", "Softmax", "MultiHeadAttention"}


def times(lab: Lab, subject: Subject) -> Figures:
    """The network alone on the device, batches from array to array, and whole pictures by `Smoother`."""
    rows: list[dict[str, Any]] = []
    with lab.open(subject) as backend:
        for shape in BATCHES:
            name, (count, height, width) = "x".join(map(str, shape)), shape
            batch = np.random.default_rng(0).random((count, backend.card.channels, height, width), np.float32)
            row: dict[str, Any] = {"what": f"batch {name}"}
            rows.append(row)
            try:
                row |= timed(lambda batch=batch: backend.run(batch))
                own = backend.device_milliseconds(shape, max(3, min(50, row["repeats"])))
                row |= {"device_ms": float(np.median(own)), "device_p90_ms": float(np.percentile(own, 90))}
            except (PnenError, MemoryError) as error:
                row["refused"] = str(error)
        smoother = Smoother(str(subject), backend=backend)
        for name, (height, width) in IMAGES.items():
            picture = np.asarray(Image.fromarray(photograph()).resize((width, height), Image.Resampling.BICUBIC))
            rows.append({"what": f"picture {name}"} | timed(lambda picture=picture: smoother.run(picture)))
            rows[-1]["megapixels_per_s"] = height * width / 1e3 / rows[-1]["median_ms"]
        figures = {"info": str(smoother.info)}
    return figures | {"rows": rows}


def timed(run: Any) -> Figures:
    """Median and 90th percentile of the calls that fit in `SECONDS`, after the first two; the first by itself."""
    spent: list[float] = []
    begin = perf_counter()
    while len(spent) < 5 or (perf_counter() - begin < SECONDS and len(spent) < 102):
        start = perf_counter()
        run()
        spent.append(1e3 * (perf_counter() - start))
    median, p90 = np.percentile(spent[2:], [50, 90]).tolist()
    return {"first_ms": spent[0], "median_ms": median, "p90_ms": p90, "repeats": len(spent) - 2}


FIRST = """
import sys, time
begin = time.perf_counter()
import numpy as np
from pnen_runtime import Smoother
ms = [time.perf_counter()]
smoother = Smoother(sys.argv[1], backend=sys.argv[2])
ms.append(time.perf_counter())
picture = np.random.default_rng(0).integers(0, 256, (321, 481, 3), np.uint8)
for _ in range(4):
    smoother.run(picture)
    ms.append(time.perf_counter())
smoother.close()
ms.append(time.perf_counter())
import json
print(json.dumps([1e3 * (b - a) for a, b in zip([begin, *ms], ms)]))
"""


def first_call(lab: Lab, subject: Subject) -> Figures:
    """In a new process: to import, to open, the first four pictures of 321x481, to close."""
    lab.require_accepted(subject)
    path = lab.onnx(subject) if subject.stack == "onnxruntime-cuda" else lab.engine(subject)
    code, said = command([sys.executable, "-c", FIRST, str(path), subject.stack])
    if code:
        raise Wrong(f"exit code {code}: {said}")
    names = ("import", "open", "first", "second", "third", "fourth", "close")
    return dict(zip((f"{name}_ms" for name in names), json.loads(said), strict=True))


def nodes(lab: Lab, subject: Subject) -> Figures:
    """Which provider runs every node, by ONNX Runtime's own profile: what computes may not be on the CPU."""
    onnxruntime = import_onnxruntime()
    folder, options = lab.scratch("profile"), onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "profile")
    settings = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    session = open_session(onnxruntime, lab.onnx(subject), options, [(CUDA, settings), CPU])
    card, given = read_card(session, lab.onnx(subject)), {}
    for end, value in zip(session.get_inputs(), (0.5, card.strength.get("default")), strict=False):
        given[end.name] = np.full((2, end.shape[1], 96, 96), value, np.float32)
    session.run(["smooth"], given)
    return read_profile(Path(session.end_profiling()))


def read_profile(path: Path) -> Figures:
    """Nodes and milliseconds of each operator on each provider; Wrong where one that computes is not on CUDA."""
    counts: Counter[tuple[str, str]] = Counter()
    spent: Counter[tuple[str, str]] = Counter()
    for event in json.loads(path.read_text(encoding="utf-8")):
        given = event.get("args") or {}
        if event.get("cat") == "Node" and given.get("provider"):
            key = (given["op_name"], given["provider"].removesuffix("ExecutionProvider"))
            counts[key] += 1
            spent[key] += event.get("dur", 0)
    rows = [{"operator": op, "provider": provider, "nodes": count, "ms": spent[op, provider] / 1e3}
            for (op, provider), count in counts.most_common()]  # fmt: skip
    on_cpu = sorted({op for op, provider in counts if provider != "CUDA" and op in COMPUTING})
    if on_cpu or not any(provider == "CUDA" for _, provider in counts):
        raise Wrong(f"not on the GPU: {', '.join(on_cpu) or 'all of it'}", {"rows": rows})
    return {"rows": rows}


def bench(lab: Lab, _subject: Subject) -> Figures:
    """tools/bench_trt.py --quick, where PyTorch is installed: the peers."""
    path = lab.scratch("bench") / "bench.json"
    code, said = command([sys.executable, str(ROOT / "tools" / "bench_trt.py"), "--quick", "--json", str(path)])
    if code:
        raise Wrong(f"exit code {code}: {said}")
    kept = ("case", "name", "median_ms", "p90_ms", "network_ms", "peak_mb", "psnr_db", "speedup", "reason")
    return {"rows": [{key: row.get(key) for key in kept} for row in json.loads(path.read_text())["rows"]]}
