"""For all tests: none may depend on how fast the machine is (tests/test_structure.py holds the rest of it)."""

from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser):
    parser.addoption(
        "--real-cuda",
        action="store_true",
        help="run tests/runtime/cuda on this machine's NVIDIA card or not at all, never on the stand-in for its driver",
    )
