"""`pnen-export --for PROGRAM`: an exported file as another program wants it."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from click.core import ParameterSource

from pnen_runtime.errors import BackendMissing, UsageError
from pnen_runtime.install import pip_install
from pnen_runtime.models import BUNDLED, bundled_models

# What writes for each program: a module of this package with
# write(onnx: Path, name: str, folder: Path, strength: float | None) -> list of what was written, for people.
WRITERS = {"darktable": "for_darktable", "vapoursynth": "for_vapoursynth"}
TAKEN = ("model", "program", "folder", "out", "strength", "fp16", "fp32", "target")


def written_for(
    program: str, model: str, folder: Path | None, strength: float | None, export: Callable[[Path], Path]
) -> list[str]:
    """Write MODEL for this program; lines that say what was written.

    MODEL is a bundled name or an ONNX file of pnen-export; a checkpoint goes through `export`, which writes its ONNX
    file into a folder. Raises UsageError where an option, the folder or the model does not fit.
    """
    context = click.get_current_context()
    beside = [name for name in context.params
              if name not in TAKEN and context.get_parameter_source(name) is not ParameterSource.DEFAULT]  # fmt: skip
    if beside:
        raise UsageError(f"--{beside[0].replace('_', '-')} says nothing to --for {program}, which builds no engine")
    given = {name for name in ("fp16", "fp32", "target", "out") if context.get_parameter_source(name)
             is not ParameterSource.DEFAULT}  # fmt: skip
    if {"fp16", "fp32"} <= given:
        raise UsageError("one file is written: ask for --fp16 or --fp32, not for both")
    if "out" in given and context.params.get("folder") is not None:
        raise UsageError("one folder is written into: name it behind MODEL or by --out, not by both")
    exports = given & {"fp16", "fp32", "target"}
    if exports and model.endswith(".onnx"):
        raise UsageError(f"--{min(exports)} is for what a checkpoint becomes; {model} is ONNX already, so leave it out")
    if folder is None:
        raise UsageError(f"--for {program} needs a folder to write into: pnen-export --for {program} {model} FOLDER")
    try:
        write: Any = import_module(f".{WRITERS[program]}", __package__).write
    except ImportError as error:
        raise BackendMissing(f"--for {program} needs {error.name}; install it: {pip_install('export')}") from error
    name = Path(model).name.split(".")[0]
    if model in bundled_models() and not exports and not Path(model).is_file():
        return write(BUNDLED / f"{model}.onnx", name, folder, strength)
    if model.endswith(".onnx"):
        return write(Path(model), name, folder, strength)
    with TemporaryDirectory() as kept:
        return write(export(Path(kept)), name, folder, strength)
