"""The parts of tools/bench_trt.py and tools/bench_training.py."""
