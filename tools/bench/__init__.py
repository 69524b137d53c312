"""The parts of tools/bench_trt.py."""
