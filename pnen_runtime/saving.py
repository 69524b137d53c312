"""The options of commands that write pictures and videos: in which format, and how faithfully."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from .encode import FORMATS, WITH_QUALITY, check_format
from .errors import ImageError, UsageError
from .video_file import is_video


@dataclass(frozen=True)
class Saved:
    """How results are written."""

    suffix: str | None = None  # of the format; by default that of the name
    quality: int | None = None  # 1 to 100; by default what nobody sees
    strip: bool = False  # leave metadata out
    raw: tuple[int, int] | None = None  # width and height of raw video frames
    compare: Path | None = None  # where the picture and its result go, side by side

    def for_all(self, jobs: Iterable[tuple[Path, Path]], *, overwrite: bool = False) -> None:
        """UsageError where no result has the quality asked for, videos are to be stripped, or several compared.

        So, too, where the comparison has no place of its own.
        """
        jobs = list(jobs)
        named = [output for _, output in jobs if output.suffix]
        if self.compare and (len(jobs) > 1 or self.raw or any(map(is_video, named))):
            raise UsageError("expected one picture with --compare, got several, or a video")
        if self.compare:
            self._check_comparison(self.compare, [path for job in jobs for path in job], overwrite)
        if self.strip and any(map(is_video, named)):
            raise UsageError("expected --strip with pictures alone, got a video, whose metadata are kept; leave it out")
        kinds = {check_format(name).name for name in named if not is_video(name)}
        if self.quality is not None and kinds and not kinds & WITH_QUALITY.keys():
            raise UsageError(f"expected --quality with {', '.join(WITH_QUALITY)}, got {' and '.join(sorted(kinds))}, "
                             "which loses nothing; leave it out, or choose another --format")  # fmt: skip

    def _check_comparison(self, compare: Path, others: Iterable[Path], overwrite: bool) -> None:
        try:
            check_format(compare, "RGB")
        except ImageError as error:
            raise UsageError(str(error)) from None
        if not compare.parent.is_dir():
            raise UsageError(f"{compare.parent} is no folder; make it, or choose another name for --compare")
        if any(os.path.realpath(compare) == os.path.realpath(other) for other in others):
            raise UsageError(f"{compare} is IN or OUT; choose another name for --compare")
        if compare.exists() and not overwrite:
            raise UsageError(f"{compare} would be overwritten; choose another name, or add --overwrite")

    def quality_of(self, name: Path) -> int | None:
        """What `encode` is told for a file of this name."""
        return self.quality if check_format(name).name in WITH_QUALITY else None


def parse_size(_ctx: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """`--raw`: WIDTHxHEIGHT."""
    if text is None:
        return None
    width, _, height = text.partition("x")
    if not all(side.isdecimal() and len(side) <= 5 and int(side) for side in (width, height)):
        raise click.BadParameter(f"expected the frames' size, such as 640x480, got {text!r}")
    return int(width), int(height)


def saving(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--format`, `--quality`, `--strip`, `--compare` and `--raw`; the command gets them together as `saved`."""

    @click.option("--format", "suffix", metavar="NAME", type=click.Choice(
                  [name[1:] for name in FORMATS], case_sensitive=False), help="Of "
                  "results in a folder, or on standard output (there PNG by default): png, webp, tif, ...  [default: "
                  "the picture's own]")  # fmt: skip
    @click.option("--quality", metavar="1..100", type=click.IntRange(1, 100), help=f"Of {', '.join(WITH_QUALITY)} "
                  "and videos.  [default: JPEG 95, AVIF 95, WebP without loss, videos 70]")  # fmt: skip
    @click.option("--strip", is_flag=True, help="Leave EXIF data, XMP, text and resolution out, and the profile: "
                  "colours become sRGB.")  # fmt: skip
    @click.option("--compare", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Also write the "
                  "picture and its result side by side.")  # fmt: skip
    @click.option("--raw", metavar="WIDTHxHEIGHT", callback=parse_size, help="Take raw RGB24 frames of a video from "
                  "standard input to standard output: IN and OUT are -.")  # fmt: skip
    @wraps(command)
    def with_all(
        *, suffix: str | None, quality: int | None, strip: bool, raw: tuple[int, int] | None, compare: Path | None,
        **others: Any,
    ) -> Any:  # fmt: skip
        return command(saved=Saved(suffix and f".{suffix}", quality, strip, raw, compare), **others)

    return with_all
