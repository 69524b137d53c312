"""With --real-cuda these tests run on a real card; where there is none they say so and run on nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from pnen_runtime.cuda.driver import first_gpu

HERE = Path(__file__).parent
FILES = ["test_driver.py", "test_kernels.py", "test_arrays.py"]  # with and without the stand-in


def test_the_card_is_the_one_of_this_machine(cuda, request):
    if request.config.getoption("--real-cuda"):
        assert cuda.gpu.name != "stand-in" and cuda.gpu == first_gpu()


@pytest.mark.skipif(first_gpu() is not None, reason="there is a GPU")
def test_without_a_card_every_test_is_skipped_and_that_is_said():
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--real-cuda"]
    done = subprocess.run([*words, *(HERE / name for name in FILES)], capture_output=True, text=True, cwd=HERE)
    assert done.returncode == 0, done.stdout
    summary, last = done.stdout.strip().splitlines()[-2:]
    assert "--real-cuda: expected an NVIDIA GPU and its driver, found none, so nothing was shown" in summary
    assert " skipped in " in last and "passed" not in last and "failed" not in last
