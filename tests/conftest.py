"""For all tests: none may depend on how fast the machine is (tests/test_structure.py holds the rest of it)."""

from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
