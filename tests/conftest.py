"""For all tests: no verdict is the machine's, the shell's or chance's, and nothing they import reports to anyone."""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ["OMP_NUM_THREADS"] = "1"  # before PyTorch is imported: sums of more threads are other sums
for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES", "TERM"):
    os.environ.pop(name, None)  # by which bars are drawn, or not

ANY_MACHINE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("any machine", derandomize=True, **ANY_MACHINE)
settings.register_profile("explore", max_examples=1000, **ANY_MACHINE)  # pytest --hypothesis-profile explore
settings.load_profile("any machine")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """What a test draws from PyTorch is not what the tests before it in this process have left."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory):
    """Neither the user's, nor that of another process of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


def pytest_addoption(parser):
    parser.addoption(
        "--real-cuda",
        action="store_true",
        help="run tests/runtime/cuda on this machine's NVIDIA card or not at all, never on the stand-in for its driver",
    )
