"""For all tests: none may depend on how fast the machine is, and nothing they import reports to anyone."""

import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser):
    parser.addoption(
        "--real-cuda",
        action="store_true",
        help="run tests/runtime/cuda on this machine's NVIDIA card or not at all, never on the stand-in for its driver",
    )
