"""The options of commands that write pictures: in which format, and how faithfully."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from .encode import FORMATS, WITH_QUALITY


@dataclass(frozen=True)
class Saved:
    """How results are written."""

    suffix: str | None = None  # of the format; by default that of the name
    quality: int | None = None  # 1 to 100; by default what nobody sees


def saving(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--format` and `--quality`; the command gets them together as `saved`."""

    @click.option("--format", "suffix", metavar="NAME", type=click.Choice([name[1:] for name in FORMATS]), help="Of "
                  "results in a folder, or on standard output (there PNG by default): png, webp, tif, ...  [default: "
                  "the picture's own]")  # fmt: skip
    @click.option("--quality", metavar="1..100", type=click.IntRange(1, 100), help=f"Of {', '.join(WITH_QUALITY)}.  "
                  "[default: JPEG 95, AVIF 95, WebP without loss]")  # fmt: skip
    @wraps(command)
    def with_both(*, suffix: str | None, quality: int | None, **others: Any) -> Any:
        return command(saved=Saved(suffix and f".{suffix}", quality), **others)

    return with_both
