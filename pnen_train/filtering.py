"""Filtering files and folders with a classical filter, on all cores."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from pnen_runtime.errors import UsageError
from pnen_runtime.files import write_text
from pnen_runtime.image import read_rgb, write_image

from .filters import filter_image, resolve
from .targets import Progress, counted, in_parallel


def filter_files(
    name: str, settings: Mapping[str, float], paths: Sequence[Path], target: Path, *, folder: bool, progress: Progress | None = None
) -> list[Path]:
    """Filter images into the folder `target` as NAME.png beside a filter.json, or one image into the file `target`.

    Results that are there already are kept, so a second call goes on where the first one stopped. Returns the paths written to.
    """
    settings = resolve(name, settings)
    if not folder:
        _filter_file((paths[0], target), name, settings)
        return [target]
    outputs = [target / f"{path.stem}.png" for path in paths]
    if len(set(outputs)) < len(outputs):
        raise UsageError(f"{paths[0].parent}: expected images with different names, got two that differ in their suffix only")
    if target.resolve() == paths[0].parent.resolve():
        raise UsageError(f"{target}: expected another folder than the images'; choose a new one")
    target.mkdir(parents=True, exist_ok=True)
    record = {"filter": name, **settings, "rounding": "round(clip(255 x, 0, 255))", "numpy": version("numpy")}
    note = target / "filter.json"
    if note.exists() and json.loads(note.read_text()) != record:
        raise UsageError(f"{target}: holds images of another filter or other settings (see filter.json); choose another folder")
    write_text(note, json.dumps(record, indent=1))
    work = [(path, output) for path, output in zip(paths, outputs, strict=True) if not output.exists()]
    for _ in counted(in_parallel(partial(_filter_file, name=name, settings=settings), work), len(work), progress):
        pass
    return outputs


def _filter_file(paths: tuple[Path, Path], name: str, settings: Mapping[str, float]) -> None:
    source, target = paths
    write_image(target, filter_image(read_rgb(source), name, settings))
