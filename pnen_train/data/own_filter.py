"""A user's own filter as a maker of targets: what it gives back is checked, and what fails in it named by its line."""

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pnen_runtime.errors import PnenError, UsageError
from pnen_runtime.files import user_cache

from .own_source import OwnSource, find_function
from .targets import Maker

ALLOWED = 1e-3  # beyond [0, 1]: rounding of single precision
ONE_AT_A_TIME = RLock()  # functions need not be made for threads
_loaded: dict[tuple[Path, str], Callable[..., Any]] = {}


def with_source(target: Mapping[str, Any], folders: Sequence[Path]) -> dict[str, Any]:
    """A resolved target; one that names a function with the sha256 of its source, found in one of the folders.

    Nothing is run. Raises UsageError as `find_function`, and where the target names another source.
    """
    if "function" not in target:
        return dict(target)
    found = find_function(target["function"], folders, strength="strength" in target)
    if target.get("source", found.sha256) != found.sha256:
        raise UsageError(f"{found.place}: expected the source of {found.name} that was learnt, got another, or one "
                         "that imports another; put it back, or give ready targets (--targets)")  # fmt: skip
    return dict(target) | {"source": found.sha256}


@dataclass(frozen=True)
class OwnMaker(Maker):
    """Makes targets by a user's function, with at most a strength as its settings."""

    own: OwnSource

    @classmethod
    def in_one_of(cls, folders: Sequence[Path], target: Mapping[str, Any], cache: Path | None = None) -> "OwnMaker":
        """Of a resolved target of one strength, which must say the function's source: no other one is ever run.

        Raises UsageError as `with_source`.
        """
        if "source" not in target:
            raise UsageError(f"expected the sha256 of the source of {target['function']} in its target, found none; "
                             "give ready targets")  # fmt: skip
        with_source(target, folders)
        own = find_function(target["function"], folders, strength="strength" in target)
        settings = {"strength": target["strength"]} if "strength" in target else {}
        return cls(own.name.replace(":", "."), settings, cache or user_cache("targets"), own)

    def made_by(self) -> dict[str, Any]:
        return {"function": self.own.name, "source": self.own.sha256, **self.settings}

    def libraries(self) -> dict[str, str]:
        return {"numpy": version("numpy")}

    def make(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """PnenError, by file and line, for what fails in the function and for what it must not give back."""
        with ONE_AT_A_TIME:
            try:
                result = _function(self.own)((image / np.float32(255)), **self.settings)
            except (Exception, SystemExit) as error:
                raise _failure(self.own, error) from error
            return np.rint(np.clip(_checked(result, image.shape, self.own) * 255, 0, 255)).astype(np.uint8)


def _function(own: OwnSource) -> Callable[..., Any]:
    """The function of exactly this source; its module is run the first time."""
    key = own.file.resolve(), own.sha256
    if key not in _loaded:
        if (folder := str(own.folder.resolve())) not in sys.path:
            sys.path.append(folder)  # last, so that no file there stands in for an installed module
        inside = [str(key[0].parent)] if own.file.name == "__init__.py" else None
        spec = spec_from_file_location(own.module, key[0], submodule_search_locations=inside)
        assert spec is not None
        files = {str(file.resolve()) for file in own.files}
        for name, other in list(sys.modules.items()):
            if getattr(other, "__file__", None) in files:  # of a source before
                del sys.modules[name]
        module = sys.modules[own.module] = module_from_spec(spec)
        try:
            exec(compile(own.files[own.file], str(key[0]), "exec"), vars(module))
            _loaded[key] = getattr(module, own.function)
        except BaseException:
            del sys.modules[own.module]
            raise
    return _loaded[key]


def _failure(own: OwnSource, error: BaseException) -> PnenError:
    """An exception with its last place in the user's own files."""
    shown, place = {str(file.resolve()): file for file in own.files}, own.place
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename in shown:
            place = f"{shown[frame.filename]}:{frame.lineno}"
    return PnenError(f"{place}: {own.function} failed: {type(error).__name__}: {error}".rstrip(": "))


def _checked(result: Any, shape: tuple[int, ...], own: OwnSource) -> NDArray[np.floating]:
    """What the function gave back; PnenError where it is no picture of this shape."""
    expected = f"{own.place}: expected {own.function} to give back floats in [0, 1] of shape {shape}, got"
    if not isinstance(result, np.ndarray):
        raise PnenError(f"{expected} {'nothing: is a return missing?' if result is None else type(result).__name__}")
    if result.dtype.kind != "f":
        raise PnenError(f"{expected} {result.dtype}; divide whole numbers by their largest, such as 255")
    if result.shape != shape:
        raise PnenError(f"{expected} shape {result.shape}")
    if not np.isfinite(result).all():
        raise PnenError(f"{expected} values that are not finite")
    least, most = float(result.min()), float(result.max())
    if least < -ALLOWED or most > 1 + ALLOWED:
        raise PnenError(f"{expected} values from {least:.4g} to {most:.4g}; np.clip(result, 0, 1) cuts them off")
    return result
