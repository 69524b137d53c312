"""Where `pnen-export` begins."""

from pnen_runtime.entry import begin


def export() -> None:
    """`pnen-export`."""
    begin("pnen_export.cli", "main", python=(3, 11))
