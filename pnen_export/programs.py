"""`pnen-export --for PROGRAM`: an exported file as another program wants it."""

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from pnen_runtime.commands import Command, say
from pnen_runtime.errors import BackendMissing, UsageError
from pnen_runtime.models import BUNDLED, bundled_models

# What writes for each program: a module of this package with
# write(onnx: Path, name: str, folder: Path, strength: float | None) -> list of what was written, for people.
WRITERS = {"darktable": "for_darktable", "vapoursynth": "for_vapoursynth"}


def _command(program: str) -> click.Command:
    @click.command(program, cls=Command)
    @click.argument("model")
    @click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
    @click.option("-o", "--out", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path),
                  help="FOLDER, by name.")  # fmt: skip
    @click.option("--strength", metavar="NUMBER", type=float, help="The one strength of the file.")
    @click.option("--fp16", is_flag=True, help="Half precision, of a checkpoint.")
    @click.option("--fp32", is_flag=True, help="Single precision: the default.")
    @click.option("--target", type=click.Choice(["onnx", "ort"]),
                  help="Of a checkpoint: as of pnen-export.  [default: ort]")  # fmt: skip
    def command(
        model: str,
        folder: Path | None,
        out: Path | None,
        strength: float | None,
        fp16: bool,
        fp32: bool,
        target: str | None,
    ) -> None:
        """Write MODEL into FOLDER as the program wants it, and nothing else.

        MODEL is the name of a bundled model, a checkpoint, or an ONNX file of pnen-export.
        """
        if fp16 and fp32:
            raise UsageError("one file is written: ask for --fp16 or --fp32, not for both")
        if out and folder:
            raise UsageError("one folder is written into: name it behind MODEL or by --out, not by both")
        if (fp16 or fp32 or target) and model.endswith(".onnx"):
            asked = "--fp16" if fp16 else "--fp32" if fp32 else "--target"
            raise UsageError(f"{asked} is for what a checkpoint becomes; {model} is ONNX already, so leave it out")
        for line in _written(program, model, folder or out, strength, fp16, fp32, target):
            say(line)

    return command


darktable, vapoursynth = map(_command, WRITERS)


def _written(
    program: str, model: str, folder: Path | None, strength: float | None, fp16: bool, fp32: bool, target: str | None
) -> list[str]:
    """What was written, for people."""
    if folder is None:
        raise UsageError(f"--for {program} needs a folder to write into: pnen-export --for {program} {model} FOLDER")
    try:
        write: Any = import_module(f".{WRITERS[program]}", __package__).write
    except ImportError as error:
        raise BackendMissing(f"--for {program} needs {error.name}; install it: pip install {error.name}") from error
    name = Path(model).name.split(".")[0]
    if not (Path(model).suffix or model in bundled_models() or Path(model).is_file()):
        raise UsageError(f"no model {model!r}: there is no such file, and the bundled models are: "
                         f"{', '.join(bundled_models())}")  # fmt: skip
    if model in bundled_models() and not (fp16 or fp32 or target) and not Path(model).is_file():
        return write(BUNDLED / f"{model}.onnx", name, folder, strength)
    if model.endswith(".onnx"):
        return write(Path(model), name, folder, strength)
    from .cli import export_checkpoint

    with TemporaryDirectory() as kept:
        files, failure = export_checkpoint(model, fp16, fp32, target or "ort", Path(kept), lambda _: None, quiet=True)
        if failure is not None:
            raise failure
        return write(files[-1].path, name, folder, strength)
