"""Exports PNEN networks to ONNX files (and engines) that are proven equal to PyTorch."""
