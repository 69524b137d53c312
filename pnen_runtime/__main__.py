"""`python -m pnen_runtime` is `pnen-smooth`."""

from .cli import smooth

if __name__ == "__main__":
    smooth(prog_name="python -m pnen_runtime")
