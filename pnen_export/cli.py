"""The command `pnen-export`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from pnen_runtime.backends.ort import import_onnxruntime
from pnen_runtime.commands import say
from pnen_runtime.errors import BackendMissing, UsageError
from pnen_runtime.install import pip_install
from pnen_runtime.signals import importing

from .destinations import WHERE, WithDestinations, refuse
from .progress import progress
from .request import check_request, engine_check

if TYPE_CHECKING:
    from collections.abc import Callable

    from pnen_runtime.card import Card

    from .export import Exported
    from .parity import Mismatch


@click.command(cls=WithDestinations)
@click.argument("model", metavar="MODEL.pt|MODEL.onnx")
@click.option("--for", "where", metavar="|".join(WHERE), is_eager=True, expose_value=False,
              callback=refuse, help="Write what another program wants: pnen-export --for triton --help.")  # fmt: skip
@click.option("--fp16", is_flag=True, help="Write half precision: typed inside the graph, float32 outside.")
@click.option("--fp32", is_flag=True, help="Write single precision: the default, or with --fp16 besides it.")
@click.option(
    "--target",
    type=click.Choice(["onnx", "ort", "all"]),
    default="all",
    show_default=True,
    help="onnx: standard operators, for TensorRT and anything else (MODEL.onnx). ort: fused attention for ONNX "
    "Runtime on a CPU, faster and with bounded memory (MODEL.ort.onnx).",
)
@click.option(
    "-o",
    "--out",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write; made if it is not there.  [default: the folder of MODEL]",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "tensorrt", "rtx", "none"]),
    default="auto",
    show_default=True,
    help="Also build an engine. auto: TensorRT where it and a GPU are here, else TensorRT-RTX where that is "
    "installed (it needs no GPU to build), else none.",
)
@click.option(
    "--shapes",
    metavar="MIN,OPT,MAX",
    multiple=True,
    help="Sizes that the engine takes besides tiles, as 1x16x16,1x320x480,1x512x512; repeatable.",
)
@click.option(
    "--tiles",
    metavar="COUNT",
    type=click.IntRange(min=1),
    help="Most tiles in one batch of the engine.  [default: 8, or as many as TensorRT takes]",
)
@click.option(
    "--key-limit",
    metavar="KEYS",
    type=click.IntRange(min=0),
    default=65504,
    show_default=True,
    help="Refuse FP16 engines with more reference pixels, where its sums may overflow; 0: no limit.",
)
@click.option(
    "--hardware",
    type=click.Choice(["this", "same-capability", "ampere+"]),
    default="this",
    show_default=True,
    help="Which GPUs a TensorRT engine runs on.",
)
@click.option(
    "--build-limit",
    "seconds",
    metavar="MINUTES",
    type=click.FloatRange(min=0, min_open=True),
    default=60,
    show_default=True,
    callback=lambda _context, _option, minutes: 60 * minutes,
    help="End a build that takes longer, with exit code 1: a damaged file may make the builder hang.",
)
@click.option("--version-compatible", is_flag=True, help="Later versions of TensorRT may load the engine.")
@click.option("--json", "as_json", is_flag=True, help="Print the cards of the written files as JSON, no tables.")
def main(model: str, fp16: bool, fp32: bool, target: str, out: Path | None, engine: str, as_json: bool,
         **options: Any) -> None:  # fmt: skip
    """Write the network of MODEL.pt (a checkpoint, or the name of a bundled one such as l0) as ONNX and as an engine.

    The ONNX files take any batch, height and width from 16 pixels: input "image", output "smooth", float32 NCHW RGB in
    [0, 1]; adjustable networks have a second input, "strength", float32 (batch, 1, height, width). Each is first
    compared with PyTorch on a photograph and on inputs that break networks, at the least, the default and the most
    strength and at a map of strengths; the table is printed and kept in the file's model card. From a MODEL.onnx made
    this way only the engine is built, without torch. Files of the same names are replaced, and a line says so; where an
    engine had other options, with the command that builds it again.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a file differs from PyTorch or is not in the precision asked for and
    was not written, 4 a package or device is missing, 5 an ONNX file is foreign or torn.
    """
    source, cards, failure = None, {}, None
    check_request(model, fp16, fp32, target, engine)
    if model.endswith((".engine", ".plan", ".trt")):
        raise UsageError(f"{model} is an engine already; give the checkpoint or the ONNX file that it is built from")
    if model.endswith(".onnx"):
        if not Path(model).is_file():
            raise UsageError(f"{model}: no such file; make it from a checkpoint with pnen-export MODEL.pt")
        source = Path(model)
    else:
        check = engine_check("none" if target == "ort" else engine, **options)  # before minutes of export
        files, failure = export_checkpoint(model, fp16, fp32, target, out, check, quiet=as_json)
        cards = {str(file.path): file.card for file in files}
        plain = [file for file in files if file.card.target == "onnx"]
        source = plain[-1].path if plain else None  # FP16 comes last
        options["reference"] = plain[-1].reference if plain else None
    try:
        if failure is not None:
            raise failure
        if engine != "none" and source is not None:
            precision = "fp16" if fp16 else "fp32" if fp32 else None
            cards |= build(source, engine, precision=precision, folder=out, quiet=as_json, **options)
    finally:  # what was written stays written
        if as_json:
            click.echo(json.dumps({path: json.loads(card.to_json()) for path, card in cards.items()}, indent=1))


def build(source: Path, engine: str, *, folder: Path | None, quiet: bool, key_limit: int,
          **options: Any) -> dict[str, Any]:  # fmt: skip
    """Build the engine of an exported file, and say so; the card of what was written, by path."""
    from .engine_command import engine_path, engine_report, former_command, make_engine, replacement

    former = former_command(engine_path(source, folder))
    with progress() as watch:
        made = make_engine(source, engine, folder=folder, key_limit=key_limit or None, watch=watch, **options)
    if isinstance(made, str):
        say(made, err=quiet)
        return {}
    path, card = made
    if not quiet or former is not None:  # with --json a replacement is told on stderr
        say(written(path, replacement(former, path, card)), err=quiet)
    if not quiet:
        for line in engine_report(card):
            say(line)
    return {str(path): card}


def export_checkpoint(
    model: str, fp16: bool, fp32: bool, target: str, out: Path | None, check: "Callable[[Card], None]", *, quiet: bool
) -> "tuple[list[Exported], Mismatch | None]":
    """Export, and print the tables; what was written, and the comparison that failed and ended it.

    `check` sees the card of the file that an engine would be built of before the work.
    """
    try:
        with importing():
            import_onnxruntime()
            import onnxscript  # noqa: F401

            from pnen_train.checkpoint import load_checkpoint

            from .export import export
            from .parity import Mismatch
            from .record import make_card
    except ImportError as error:
        raise BackendMissing(f"pnen-export needs {error.name}; install it: {pip_install('export')}") from error
    checkpoint, path = load_checkpoint(model), Path(model)
    check(replace(make_card(checkpoint), precision="fp16" if fp16 else "fp32", target="onnx"))
    precisions = [name for name, wanted in (("fp32", fp32 or not fp16), ("fp16", fp16)) if wanted]
    targets = ["onnx", "ort"] if target == "all" else [target]
    folder = out or (path.parent if path.is_file() else Path())
    files: list[Exported] = []
    failure: Mismatch | None = None
    with progress() as watch:
        try:
            for file in export(checkpoint, folder, path.stem, precisions=cast(Any, precisions),
                               targets=cast(Any, targets), watch=watch):  # fmt: skip
                files.append(file)
        except Mismatch as error:
            failure = error
    if not quiet:
        print_report(path.stem, files, failure)
    return files, failure


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
        worry = (
            f" (from {WORRYING:g} on FP16 rounds noticeably: its table shows what that costs)"
            if files[0].card.max_logit > WORRYING
            else ""
        )
        click.echo(f"largest attention logit on the photograph: {files[0].card.max_logit:.3g}{worry}")
    for file in files:
        say(written(file.path, ", in the place of the former one" if file.replaced else ""))


def written(path: Path, then: str = "") -> str:
    """The line about a file that was written."""
    return f"written: {path} ({path.stat().st_size / 1e6:.1f} MB){then}"


if __name__ == "__main__":
    main()
