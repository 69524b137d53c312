"""The command `pnen-export`."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from pnen_runtime.commands import Command
from pnen_runtime.errors import BackendMissing


@click.command(cls=Command)
@click.argument("model", metavar="MODEL.pt")
@click.option("--fp16", is_flag=True, help="Write files of half precision (typed inside the graph; the image stays float32).")
@click.option("--fp32", is_flag=True, help="Write files of single precision: the default without --fp16, or besides it.")
@click.option(
    "--target",
    type=click.Choice(["onnx", "ort", "all"]),
    default="all",
    show_default=True,
    help="onnx: standard operators, for TensorRT and everything else; ort: fused attention of ONNX Runtime, for CPUs.",
)
@click.option(
    "--out", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path), help="Where to write.  [default: beside MODEL.pt]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the cards of the written files as JSON.")  # fmt: skip
def main(model: str, fp16: bool, fp32: bool, target: str, out: Path | None, as_json: bool) -> None:
    """Write the network of MODEL.pt (or a bundled one, such as l0) as ONNX files for any batch, height and width from 16 pixels.

    Every file is compared with PyTorch on a photograph and on inputs that break networks first; the table is printed and kept in the file's
    model card. Exit code 3: a comparison failed, and no file of that name was written.
    """
    try:
        import torch  # noqa: F401
        from onnxruntime import __version__  # noqa: F401
        from rich.console import Console
        from rich.progress import Progress

        from pnen_train.checkpoint import BUNDLED, load_checkpoint

        from .export import export
        from .logits import WORRYING
    except ImportError as error:
        raise BackendMissing(f'pnen-export needs {error.name}; install it with: pip install "pnen[export]"') from error

    checkpoint = load_checkpoint(model)
    path = Path(model)
    out = out or (path.parent if path.is_file() else Path())
    precisions = [name for name, wanted in (("fp32", fp32 or not fp16), ("fp16", fp16)) if wanted]
    targets = ["onnx", "ort"] if target == "all" else [target]
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=1)
        exported = export(checkpoint, out, path.stem, precisions=precisions, targets=targets,
                          watch=lambda what, done, total: progress.update(task, description=what, completed=done, total=total))  # fmt: skip
    if as_json:
        return click.echo(json.dumps({str(file.path): asdict(file.card) for file in exported}, indent=1))
    for file in exported:
        print_table(file)
    logit = exported[0].card.max_logit
    if logit is not None:
        click.echo(
            f"largest attention logit on a photograph: {logit:.1f}"
            + (f" (from {WORRYING:g} on FP16 loses precision)" if logit > WORRYING else "")
        )
    for file in exported:
        click.echo(f"written: {file.path} ({file.path.stat().st_size / 1e6:.1f} MB)")


def print_table(file) -> None:
    """The parity table of one file, the worst of the inputs for each size."""
    click.echo(f"\n{file.path.name} against PyTorch in FP32")
    click.echo(f"  {'size':24} {'worst input':22} {'max abs':>9} {'PSNR dB':>8} {'within 1 level':>15}")
    for size in dict.fromkeys(row.size for row in file.rows):
        rows = [row for row in file.rows if row.size == size]
        worst = max(rows, key=lambda row: row.max_abs)
        share = min(row.within_one_level for row in rows)
        click.echo(f"  {size:24} {worst.input:22} {worst.max_abs:9.1e} {min(row.psnr for row in rows):8.1f} {share:15.2%}")
    if "rounding" in file.card.parity:
        worst = file.card.parity["rounding"]
        click.echo(
            f"  {'all, every layer in FP16':24} {'(simulated)':22} {worst['max_abs']:9.1e} {worst['psnr']:8.1f} {worst['within_one_level']:15.2%}"
        )


if __name__ == "__main__":
    main()
