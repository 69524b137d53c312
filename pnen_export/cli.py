"""The command `pnen-export`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from pnen_runtime.commands import Command
from pnen_runtime.errors import BackendMissing

if TYPE_CHECKING:
    from .export import Exported
    from .parity import Mismatch


@click.command(cls=Command)
@click.argument("model", metavar="MODEL.pt")
@click.option("--fp16", is_flag=True, help="Write half precision: typed inside the graph, float32 outside.")
@click.option("--fp32", is_flag=True, help="Write single precision: the default, or with --fp16 besides it.")
@click.option(
    "--target",
    type=click.Choice(["onnx", "ort", "all"]),
    default="all",
    show_default=True,
    help="onnx: standard operators, for TensorRT and anything else (MODEL.onnx). ort: fused attention for ONNX Runtime "
    "on a CPU, faster and with bounded memory (MODEL.ort.onnx).",
)
@click.option(
    "--out",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write; made if it is not there.  [default: the folder of MODEL.pt]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the cards of the written files as JSON, no tables.")
def main(model: str, fp16: bool, fp32: bool, target: str, out: Path | None, as_json: bool) -> None:
    """Write the network of MODEL.pt (a checkpoint, or the name of a bundled one such as l0) as ONNX.

    The files take any batch, height and width from 16 pixels: input "image", output "smooth", float32 NCHW RGB in
    [0, 1]. Each is first compared with PyTorch on a photograph and on inputs that break networks; the table is printed
    and kept in the file's model card.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a file differs from PyTorch and was not written, 4 a package is
    missing.
    """
    try:
        import onnxruntime  # type: ignore[import-untyped] # noqa: F401
        import onnxscript  # noqa: F401

        from .export import export
        from .parity import Mismatch
    except ImportError as error:
        raise BackendMissing(f'pnen-export needs {error.name}; install it: pip install "pnen[export]"') from error
    from rich.console import Console
    from rich.progress import Progress

    from pnen_train.checkpoint import load_checkpoint

    checkpoint, path = load_checkpoint(model), Path(model)
    precisions = [name for name, wanted in (("fp32", fp32 or not fp16), ("fp16", fp16)) if wanted]
    targets = ["onnx", "ort"] if target == "all" else [target]
    files: list[Exported] = []
    failure: Mismatch | None = None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("PyTorch")

        def watch(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        folder = out or (path.parent if path.is_file() else Path())
        try:
            for file in export(checkpoint, folder, path.stem, precisions=cast(Any, precisions),
                               targets=cast(Any, targets), watch=watch):  # fmt: skip
                files.append(file)
        except Mismatch as error:
            failure = error
    if as_json:
        click.echo(json.dumps({str(file.path): json.loads(file.card.to_json()) for file in files}, indent=1))
    else:
        print_report(path.stem, files, failure)
    if failure is not None:
        raise failure


def print_report(stem: str, files: "list[Exported]", failure: "Mismatch | None") -> None:
    """The tables, the largest logit, and what was written."""
    from .export import rounding_name
    from .logits import WORRYING
    from .table import parity_table

    tables = {}
    for file in files:
        if file.rounding:
            tables[rounding_name(stem)] = file.rounding
        tables[file.path.name] = file.rows
    if failure is not None:
        tables[failure.name] = failure.rows
    for name, rows in tables.items():
        click.echo(parity_table(name, rows) + "\n")
    if files and files[0].card.max_logit is not None:
        worry = f" (FP16 loses precision from {WORRYING:g} on)" if files[0].card.max_logit > WORRYING else ""
        click.echo(f"largest attention logit on the photograph: {files[0].card.max_logit:.3g}{worry}")
    for file in files:
        click.echo(f"written: {file.path} ({file.path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
