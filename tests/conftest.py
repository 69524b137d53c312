"""For all tests: nothing they import reports to anyone."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
