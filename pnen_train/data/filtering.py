"""Filtering files and folders with a classical filter, on all cores."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pnen_runtime.encode import check_format
from pnen_runtime.errors import ImageError, UsageError
from pnen_runtime.files import write_text
from pnen_runtime.filters.pictures import filter_picture
from pnen_runtime.image import read_image, write_image

from ..parallel import Progress, in_parallel
from .filters import ROUNDING, libraries, resolve
from .targets import by_stem
from .tasks import NOTE


def filter_files(
    name: str,
    settings: Mapping[str, Any],
    paths: Sequence[Path],
    target: Path,
    *,
    folder: bool,
    force: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Filter images into the folder `target` as NAME.png beside a filter.json, or one image into the file `target`.

    Results that are there already are made anew with `force` only: of a folder the others are kept, so a second call
    goes on where the first one stopped, and a file is refused. Returns the paths of the results. Raises UsageError for
    a filter or a target that will not do, ImageError for an image.
    """
    settings = resolve(name, settings)
    if not folder:
        _check_file(paths[0], target, force)
        filter_file(paths[0], target, name, settings)
        return [target]
    if target.resolve() == paths[0].parent.resolve():
        raise UsageError(f"{target}: expected another folder than the images'; choose a new one")
    outputs = {target / f"{stem}.png": path for stem, path in by_stem(paths, "both would become one .png").items()}
    _take_folder(target, {"filter": name, **settings, "rounding": ROUNDING}, libraries(name, settings))
    missing = [output for output in outputs if force or not os.path.lexists(output)]
    for _ in in_parallel(lambda output: filter_file(outputs[output], output, name, settings), missing, progress):
        pass
    return list(outputs)


def _check_file(source: Path, target: Path, force: bool) -> None:
    """UsageError where the target is the source, is no picture, or is there already and `force` is not given."""
    try:
        check_format(target)
    except ImageError as error:
        raise UsageError(str(error)) from None
    if target.exists() and target.samefile(source):
        raise UsageError(f"{target}: expected another file than the image itself; choose a new name")
    if os.path.lexists(target) and not force:  # a link that leads nowhere, too
        raise UsageError(f"{target}: is there already; add --overwrite to make it anew")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: expected a folder to write {target.name} into, found none; make it first")


def _take_folder(folder: Path, record: dict[str, Any], libraries: dict[str, str]) -> None:
    """Make the folder and its note; UsageError where the folder has results of another filter."""
    note = folder / NOTE
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder for the results of a folder, got a file; choose a new one")
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        same = isinstance(found, dict) and record.items() <= found.items()
    except FileNotFoundError:
        same = not folder.is_dir() or not any(folder.iterdir())
    except ValueError:
        same = False
    if not same:
        raise UsageError(f"{folder}: expected a new folder, or one with a {NOTE} of this filter and these settings")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(note, json.dumps(record | libraries, indent=1))


def filter_file(source: Path, target: Path, name: str, settings: Mapping[str, Any]) -> None:
    """Filter one image as `pnen_runtime.filters` does: grey, alpha and 16 bits are kept."""
    write_image(target, filter_picture(read_image(source), name, settings))
