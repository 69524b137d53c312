"""`pnen-train models`: every network of the paper and how large it is."""

import click
import torch

from pnen_runtime.commands import Command

from ..models import build
from ..models.presets import PRESETS
from ..models.size import count_macs, count_parameters, depth


@click.command("models", cls=Command)
def command() -> None:
    """Print a Markdown table of all networks: the names that `name` in [network] of a recipe may have.

    GMAC: 10⁹ multiplications with an addition for one 96x96 image, of the convolutions and of both products of each
    attention. Depth: convolutions on the longest path, a non-local block as one. Published is the size that the
    paper states, and which of the two counts it is, where either is.
    """
    rows = [("network", "parameters", "without norms", "published", "GMAC", "depth"), ("---", *["---:"] * 5)]
    for name, preset in PRESETS.items():
        with torch.device("meta"):  # nothing is computed or held
            model = build(name, {}).eval()
        counted = f" ({preset.counted})" if preset.counted else ""
        rows.append((
            name,
            f"{count_parameters(model):,}",
            f"{count_parameters(model, norms=False):,}",
            preset.published + counted,
            f"{count_macs(model) / 1e9:.2f}",
            str(depth(model)),
        ))  # fmt: skip
    for row in rows:
        click.echo(f"| {' | '.join(row)} |")
