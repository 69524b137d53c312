"""Targets of the smoothing task: filter outputs, made once per picture and kept on disk with their metadata."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from pnen_runtime.errors import ImageError, UsageError
from pnen_runtime.files import write_text
from pnen_runtime.image import read_rgb, write_image

from .filters import filter_image, resolve
from .metrics import psnr

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm"}
Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # input and target, both (H, W, 3)
Progress = Callable[[int, int], None]  # done, in all


@dataclass(frozen=True)
class Maker:
    """What makes targets: a filter with all its settings and the folder that keeps results."""

    filter: str
    settings: Mapping[str, float]
    cache: Path

    @classmethod
    def of(cls, filter: str, settings: Mapping[str, float], cache: Path | None = None) -> "Maker":
        """With defaults filled in; the cache is by default a folder of the user's."""
        return cls(filter, resolve(filter, settings), cache or user_cache_path("pnen") / "targets")

    def target(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The filtered (H, W, 3) image, from the cache where the same pixels were filtered with the same settings before."""
        made_by = {"filter": self.filter, **self.settings, "shape": image.shape}
        digest = hashlib.sha256(json.dumps(made_by).encode() + image.tobytes()).hexdigest()
        path = self.cache / self.filter / f"{digest}.png"
        if path.is_file():
            try:
                return read_rgb(path)
            except ImageError:
                path.unlink()  # written by a machine that lost power: made again
        target = filter_image(image, self.filter, self.settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {**made_by, "rounding": "round(clip(255 x, 0, 255))", "numpy": version("numpy"), "do_nothing_psnr": psnr(image, target),
                  "input_sha256": hashlib.sha256(image.tobytes()).hexdigest(), "output_sha256": hashlib.sha256(target.tobytes()).hexdigest()}  # fmt: skip
        write_text(path.with_suffix(".json"), json.dumps(record, indent=1))
        write_image(path, target)
        return target


def find_images(folders: Sequence[Path]) -> list[Path]:
    """The image files of these folders (not below them) in order of their names; UsageError where there is none."""
    paths: list[Path] = []
    for folder in folders:
        found = [folder] if folder.is_file() else sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
        if not found:
            raise UsageError(f"{folder}: expected a folder with images, found none ({', '.join(sorted(SUFFIXES))})")
        paths += found
    return sorted(paths, key=lambda path: (path.name, path))


def load_pair(path: Path, maker: Maker, targets: Path | None = None, smallest: int = 16) -> Pair:
    """An image and its target: the file of the same stem in the folder `targets`, or else what `maker` makes of it."""
    image = read_rgb(path)
    if min(image.shape[:2]) < smallest:
        height, width = image.shape[:2]
        raise ImageError(f"{path}: expected at least {smallest} pixels a side, got {width}x{height}; remove it or train on smaller crops")
    if targets is None:
        return image, maker.target(image)
    matches = [p for p in sorted(targets.glob(f"{path.stem}.*")) if p.suffix.lower() in SUFFIXES]
    if not matches:
        raise UsageError(f"{targets}: expected a target named {path.stem} for {path}, found none")
    target = read_rgb(matches[0])
    if target.shape != image.shape:
        sizes = [f"{a.shape[1]}x{a.shape[0]}" for a in (image, target)]
        raise ImageError(
            f"{matches[0]}: expected the size of its input {path}, {sizes[0]}, got {sizes[1]}; make the target from that image"
        )
    return image, target


def load_pairs(
    paths: Sequence[Path], maker: Maker, targets: Path | None = None, *, smallest: int = 16, progress: Progress | None = None
) -> list[Pair]:
    """All pairs in memory as uint8, missing targets made on all cores."""
    load = partial(load_pair, maker=maker, targets=targets, smallest=smallest)
    return list(counted(in_parallel(load, paths), len(paths), progress))


def in_parallel(work: Callable, items: Sequence) -> Iterator:
    """`work` of each item in order, on all cores; the first failure is raised and the rest given up."""
    with ProcessPoolExecutor(min(len(items), os.cpu_count() or 1)) as pool:
        try:
            yield from pool.map(work, items)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def counted(items: Iterator, total: int, progress: Progress | None) -> Iterator:
    """The same items, telling `progress` after each."""
    for done, item in enumerate(items, 1):
        if progress is not None:
            progress(done, total)
        yield item
