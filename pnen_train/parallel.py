"""The same work for many items, on all cores that this process may use."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pnen_runtime.backends.ort import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]  # done, in all


def in_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], progress: Progress | None = None
) -> Iterator[Result]:
    """`work` of each item, in order, on a thread for every usable core; the first failure ends it.

    Threads are enough: numpy's arithmetic and transforms and Pillow's decoders let other threads run.
    """
    with ThreadPoolExecutor(usable_cores()) as pool:
        try:
            for done, result in enumerate(pool.map(work, items), 1):
                if progress is not None:
                    progress(done, len(items))
                yield result
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
