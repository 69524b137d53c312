"""Targets of the smoothing task: filter outputs, made once per picture and kept on disk with their metadata."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pnen_runtime.errors import ImageError, PnenError, UsageError
from pnen_runtime.files import drop_abandoned, user_cache, without_cache, write_text
from pnen_runtime.image import read_rgb, write_image
from pnen_runtime.photo import SUFFIXES
from pnen_runtime.schema import read_json

from ..metrics import psnr, ssim
from ..parallel import Progress, in_parallel
from .filters import ROUNDING, VERSIONS, filter_image, libraries, resolve
from .pictures import read_picture

EITHER = "either could be the target"
SMALLEST = 16  # pixels a side, of what is scored
# Input and target, both (H, W, C): uint8, or an input of float32 in [0, 1] that was never rounded. To train an
# adjustable network, the target of each strength: (S, H, W, C).
Pair = tuple[NDArray[Any], NDArray[np.uint8]]


@dataclass(frozen=True)
class Maker:
    """What makes targets: a filter with all its settings and the folder that keeps results."""

    filter: str
    settings: Mapping[str, Any]
    cache: Path

    @classmethod
    def of(cls, filter: str, settings: Mapping[str, Any], cache: Path | None = None) -> "Maker":
        """With defaults filled in; the cache is by default a folder of the user's."""
        return cls(filter, resolve(filter, settings), cache or user_cache("targets"))

    def made_by(self) -> dict[str, Any]:
        """What makes the targets, and so what keeps them apart from others."""
        return {"filter": self.filter, "version": VERSIONS[self.filter], **self.settings}

    def libraries(self) -> dict[str, str]:
        """What it computes with, and which version."""
        return libraries(self.filter, self.settings)

    def make(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Filter an (H, W, 3) image."""
        return filter_image(image, self.filter, self.settings)

    def target(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The filtered (H, W, 3) image; from the cache where the same pixels were filtered like this before."""
        made_by = {**self.made_by(), "shape": image.shape}
        digest = hashlib.sha256(json.dumps(made_by).encode() + image.tobytes()).hexdigest()
        path = self.cache / self.filter / f"{digest}.png"
        kept = _read_kept(path, image.shape)
        if kept is not None:
            return kept
        target = self.make(image)
        record = made_by | self.libraries() | _metadata(image, target)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path.with_suffix(".json"), json.dumps(record, indent=1))
            write_image(path, target)
        except OSError as error:
            without_cache(self.cache, error)
        return target


def _read_kept(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The cached target; None where there is none, or one that is not what its note says was made."""
    try:
        target, note = read_rgb(path), read_json(path.with_suffix(".json").read_text(encoding="utf-8"))
        own = target.shape == shape and note["output_sha256"] == hashlib.sha256(target.tobytes()).hexdigest()
    except (OSError, ImageError, ValueError, LookupError, TypeError):
        return None
    return target if own else None


def _metadata(image: NDArray[np.uint8], target: NDArray[np.uint8]) -> dict[str, Any]:
    """What a target is, beside what made it. Scores are those of doing nothing."""
    level = psnr(image, target)
    return {
        "rounding": ROUNDING,
        "do_nothing_psnr": level if math.isfinite(level) else None,
        "do_nothing_ssim": ssim(image, target) if min(image.shape[:2]) >= SMALLEST else None,
        "input_sha256": hashlib.sha256(image.tobytes()).hexdigest(),
        "output_sha256": hashlib.sha256(target.tobytes()).hexdigest(),
    }


def find_images(folders: Sequence[Path]) -> list[Path]:
    """The image files of these folders (not below them) in order of their names; UsageError where there is none."""
    paths: list[Path] = []
    for folder in folders:
        found = [folder] if folder.is_file() else [path for path in folder.iterdir() if _is_image(path)]
        if not found:
            raise UsageError(f"{folder}: expected a folder with images, found none ({', '.join(SUFFIXES)})")
        paths += found
    return sorted(paths, key=lambda path: (path.name, path))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def by_stem(paths: Iterable[Path], reason: str) -> dict[str, Path]:
    """The paths by their names without suffix; UsageError with this reason where two are the same."""
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise UsageError(f"{found[path.stem]} and {path} have the same name: {reason}; rename one")
        found[path.stem] = path
    return found


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """At most `count` of the paths, evenly from the whole list."""
    return [paths[i * len(paths) // count] for i in range(count)] if count < len(paths) else list(paths)


def load_pairs(
    paths: Sequence[Path],
    makers: Sequence[Maker],
    targets: Path | None = None,
    *,
    smallest: int = SMALLEST,
    progress: Progress | None = None,
) -> list[Pair]:
    """Images and their targets, all in memory as uint8, on all cores.

    The target is the file of the same name (suffix aside) in the folder `targets`, or else what the maker makes; those
    of several makers are stacked, (S, H, W, C). Raises UsageError or ImageError for what is missing, ambiguous,
    unreadable, under `smallest` pixels a side or of two sizes.
    """
    named: dict[str, Path] = {}
    if targets is not None:
        by_stem(paths, "a target would fit both")
        named = by_stem(find_images([targets]), EITHER)
    for folder in {maker.cache / maker.filter for maker in makers}:
        drop_abandoned(folder)

    def load(path: Path) -> Pair:
        image = read_picture(path, smallest)
        if targets is not None:
            return image, ready_target(path, image, named, targets)
        try:
            made = [maker.target(image) for maker in makers]
        except PnenError as error:
            raise type(error)(f"{error} (on {path})") from error
        return image, made[0] if len(made) == 1 else np.stack(made)

    return list(in_parallel(load, paths, progress))


def ready_target(path: Path, image: NDArray[np.uint8], named: Mapping[str, Path], folder: Path) -> NDArray[np.uint8]:
    """The target of a picture of this path; UsageError where there is none, ImageError where it is of another size."""
    if path.stem not in named:
        raise UsageError(f"{folder}: expected a target named {path.stem} for {path}, found none")
    target = read_rgb(named[path.stem])
    if target.shape != image.shape:
        wanted, got = (f"{a.shape[1]}x{a.shape[0]}" for a in (image, target))
        raise ImageError(f"{named[path.stem]}: expected {wanted} pixels, the size of its input {path}, got {got}")
    return target
