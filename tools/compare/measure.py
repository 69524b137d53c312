"""How near each way comes to the target, how long it takes, and in how much memory."""

import ctypes
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from time import process_time

from paper.memory import resident

from pnen_runtime.filters.weighted_median import opencv
from pnen_train.data.targets import Pair
from pnen_train.metrics import psnr

from .classical import Picture
from .ways import Smooth, Way

CLEAR = Path("/proc/self/clear_refs")
WARM_UP = 32  # pixels a side of what is smoothed before the clock runs


@dataclass
class Row:
    """What was measured of a way."""

    way: Way
    psnr: float  # dB, the mean over pictures that differ from their targets; inf where none does
    seconds: float  # of one CPU thread, the median over pictures; 0 of doing nothing
    megabytes: float | None = None  # by how much the memory grows while it smooths the first picture
    front: bool = False  # no other way is as near in as little time

    @property
    def exact(self) -> bool:
        return math.isinf(self.psnr)


def measure(ways: Sequence[Way], pairs: Sequence[Pair], advance: Callable[[int], None]) -> list[Row]:
    """A row for each way, in order. The ways take turns on every picture: a busy machine meets them all alike."""
    opencv().setNumThreads(1)
    levels: list[list[float]] = [[] for _ in ways]
    seconds: list[list[float]] = [[] for _ in ways]
    with ExitStack() as stack:
        ready = [stack.enter_context(way.ready()) for way in ways]
        for smooth in ready:
            _warm_up(smooth, pairs[0][0])
        for number, (picture, target) in enumerate(pairs):
            for smooth, level, taken in zip(ready, levels, seconds, strict=True):
                start = process_time()
                result = smooth(picture)
                taken.append(process_time() - start)
                level.append(psnr(result, target))
            advance(number + 1)
    rows = [
        Row(way, mean_psnr(level), 0.0 if way.kind == "nothing" else median(taken))
        for way, level, taken in zip(ways, levels, seconds, strict=True)
    ]
    mark_front(rows)
    return rows


def mean_psnr(values: Sequence[float]) -> float:
    """As `pnen-train evaluate` gives it: over the finite values, inf where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return fmean(finite) if finite else math.inf


def mark_front(rows: Sequence[Row]) -> None:
    """Set `front` of the rows that no other beats, nor doing nothing, which itself is not one to choose."""
    for row in rows:
        row.front = row.way.kind != "nothing" and not any(beats(other, row) for other in rows)


def beats(one: Row, other: Row) -> bool:
    """Whether `one` is nowhere worse and somewhere better."""
    nearness, speed = (one.psnr, -one.seconds), (other.psnr, -other.seconds)
    return nearness != speed and all(a >= b for a, b in zip(nearness, speed, strict=True))


def _warm_up(smooth: Smooth, picture: Picture) -> None:
    """Compile and load what the first call compiles and loads."""
    smooth(picture[:WARM_UP, :WARM_UP].copy())


def megabytes(way: Way, picture: Picture) -> float | None:
    """By how much the resident memory of this process grows at most while it smooths; None where none can tell.

    What the process holds from before and does not use is given back first, so that it cannot serve again unseen.
    """
    with way.ready() as smooth:
        _warm_up(smooth, picture)
        try:
            ctypes.CDLL(None).malloc_trim(0)
            CLEAR.write_text("5")  # from here on the peak counts anew
            before = resident("VmRSS")
            smooth(picture)
            return max(0, resident("VmHWM") - before) / 1e6
        except (OSError, AttributeError):  # not Linux, or not the GNU C library
            return None
