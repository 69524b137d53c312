"""The checks of tools/gpu_proof.py; they need neither torch nor onnx."""
