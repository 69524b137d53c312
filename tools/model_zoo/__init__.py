"""Bundled models: what is measured of them, and their pages with pictures."""
