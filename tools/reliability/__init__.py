"""What `tools/fuzz.py`, `tools/soak.py` and `tools/faults.py` are made of."""
