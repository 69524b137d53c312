import json
import subprocess
import sys

import pytest

import pnen_runtime

HEAVY = ["torch", "onnx", "onnxruntime", "tensorrt", "tensorrt_rtx", "pycuda", "rich", "numba", "skimage",
         "pnen_train", "pnen_export"]  # fmt: skip
PROBE = """
import json, sys
import {module}
from pnen_runtime.memory import peak_bytes_so_far
print(json.dumps([peak_bytes_so_far(), [name for name in sys.modules if "." not in name]]))
"""


@pytest.mark.parametrize("module", ["pnen_runtime", "pnen_runtime.cli", "pnen_runtime.filters"])
def test_import_is_light_and_loads_no_framework(module):
    # one thread: OpenBLAS reserves a buffer per core
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", PROBE.format(module=module)], env=environment, check=True,
                                  stdout=subprocess.PIPE).stdout)
        for _ in range(3)
    ]  # fmt: skip
    assert not set(HEAVY) & set(runs[0][1])  # which is what takes long; tools/bench_start.py has the seconds
    assert min(peak for peak, _ in runs) < 60e6


def test_all_is_what_is_public():
    public = {name for name, value in vars(pnen_runtime).items() if not name.startswith("_")}
    modules = {name for name in public if f"pnen_runtime.{name}" in sys.modules}
    assert set(pnen_runtime.__all__) == public - modules
    assert list(pnen_runtime.__all__) == sorted(pnen_runtime.__all__)
