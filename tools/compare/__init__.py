"""Comparison of everything that smooths like a filter: the filter itself, the bundled networks, classical smoothers."""
