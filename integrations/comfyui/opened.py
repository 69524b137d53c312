"""Models as ComfyUI's nodes find and hold them: opened once for all nodes that use them, closed with the last one."""

import weakref
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import folder_paths

from pnen_runtime import PnenError, Smoother
from pnen_runtime.card import Card
from pnen_runtime.engine_file import SUFFIXES, read_engine
from pnen_runtime.models import bundled_models, find_model
from pnen_runtime.onnx_card import read_onnx_card

FOLDER = "pnen"  # in ComfyUI's `models`: files that pnen-export wrote
folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))
folder_paths.folder_names_and_paths[FOLDER] = (folder_paths.folder_names_and_paths[FOLDER][0], {".onnx", *SUFFIXES})

_opened: Any = weakref.WeakValueDictionary()
_lock = Lock()


class Opened:
    """A model that is loaded; it is closed when no node holds it any more."""

    def __init__(self, path: Path, backend: str):
        self.smoother = Smoother(path, backend=backend)
        weakref.finalize(self, self.smoother.close)


def open_model(name: str, backend: str) -> Opened:
    """The model of this name, loaded or found loaded; a file that changed is another model."""
    path = path_of(name)
    key = path, path.stat().st_mtime_ns, backend
    with _lock:
        opened = _opened.get(key)
        if opened is None:
            opened = _opened[key] = Opened(path, backend)
    return opened


def path_of(name: str) -> Path:
    """Of a bundled model, or of a file in the folder; UsageError where there is none."""
    found = None if name in bundled_models() else folder_paths.get_full_path(FOLDER, name)
    return find_model(found or name)


def names(task: str) -> list[str]:
    """What a node may offer: bundled models and files for this task: "noise", "scale", or "" for smoothing."""
    found = [*bundled_models(), *folder_paths.get_filename_list(FOLDER)]
    return [name for name in found if task_of(path_of(name)) == task]


def task_of(path: Path) -> str | None:
    """As the model card says; None of a file that is none of ours."""
    return _task_of(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _task_of(path: Path, _changed: int) -> str | None:
    try:
        card: Card = read_engine(path).card if path.suffix in SUFFIXES else read_onnx_card(path)
    except (PnenError, OSError):
        return None
    return next((task for task in ("noise", "scale") if task in card.task), "")
