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
    for name in pnen_runtime.__all__:
        assert getattr(pnen_runtime, name).__module__.startswith("pnen_runtime.")
    assert set(pnen_runtime.__all__) == set(pnen_runtime._MODULE_OF)
    with pytest.raises(AttributeError, match="no attribute 'Smother'"):
        pnen_runtime.Smother  # noqa: B018


def test_everything_that_the_package_offers_is_there_when_it_is_asked_for():
    code = ("import sys, pnen_runtime; assert 'numpy' not in sys.modules; assert set(pnen_runtime.__all__) <= set(dir("
            "pnen_runtime)); [getattr(pnen_runtime, name) for name in pnen_runtime.__all__]")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
