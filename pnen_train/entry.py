"""Where `pnen-train` begins."""

from pnen_runtime.entry import begin


def train() -> None:
    """`pnen-train`."""
    begin("pnen_train.cli", "main", python=(3, 11))
