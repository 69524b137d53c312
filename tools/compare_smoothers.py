"""Everything that smooths like a filter, in one run: how near it comes, in how many CPU seconds and how much memory.

Usage: python tools/compare_smoothers.py --on BSDS500/val --tune-on free/holdout --images 20
           --write docs/models/comparison.md --plot docs/models/comparison.png --pictures docs/models/comparison.jpg
"""

import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from bench.machine import describe
from bench.report import check_plot
from compare.classical import CLASSICAL, Picture
from compare.measure import measure, megabytes
from compare.page import Comparison, markdown, plain, record
from compare.tuning import PIECE, pieces, tuned
from compare.ways import Target, Way, fixed_ways
from model_zoo.scores import with_noise
from paper.command import data_name

from pnen_runtime.commands import Command, say
from pnen_runtime.errors import UsageError
from pnen_runtime.files import replace_when_done, write_text
from pnen_runtime.filters.weighted_median import opencv
from pnen_runtime.models import bundled_models
from pnen_train.commands.options import THERE
from pnen_train.data.filters import FILTERS
from pnen_train.data.pictures import read_picture
from pnen_train.data.targets import SMALLEST, find_images, spread
from pnen_train.parallel import in_parallel
from pnen_train.progress import bar

OUTPUT = click.Path(dir_okay=False, path_type=Path)
STRENGTHS = "0.002,0.02,0.2"  # the least, the usual and the most of `l0`


@click.command(cls=Command)
@click.option("--on", "folders", multiple=True, required=True, type=THERE, help="Photographs to score on; repeatable.")
@click.option("--tune-on", "others", multiple=True, required=True, type=THERE, help="Other pictures, to tune the "
              "classical smoothers on; repeatable.")  # fmt: skip
@click.option("--images", "count", metavar="NUMBER", type=click.IntRange(min=1), default=20, show_default=True,
              help="Score so many, spread evenly.")  # fmt: skip
@click.option("--tune-images", "few", metavar="NUMBER", type=click.IntRange(min=1), default=8, show_default=True,
              help="Tune on so many, spread evenly.")  # fmt: skip
@click.option("--targets", metavar="FILTER,...", default=",".join(FILTERS), show_default=True)
@click.option("--strengths", metavar="NUMBER,...", default=STRENGTHS, show_default=True, help="Of L0; the others have "
              "their default.")  # fmt: skip
@click.option("--noise", metavar="LEVELS", type=click.FloatRange(min=0), default=0.0, help="Gaussian noise of this "
              "deviation on all pictures, those to tune on too; targets are the filter's of noisy ones.")  # fmt: skip
@click.option("--only", metavar="NAME,...", help=f"Classical smoothers out of: {', '.join(CLASSICAL)}.  [default: all "
              "that are not slow]")  # fmt: skip
@click.option("--slow", is_flag=True, help=f"Also {', '.join(name for name, s in CLASSICAL.items() if s.slow)}.")
@click.option("--models", metavar="NAME,...", help="Networks, by name or file.  [default: all bundled ones]")
@click.option("--plot", metavar="FILE.png", type=OUTPUT, help="Draw PSNR against CPU seconds (needs matplotlib).")
@click.option("--pictures", metavar="FILE.jpg", type=OUTPUT, help="Draw a detail of a photograph by each way.")
@click.option("--write", "page", metavar="FILE.md", type=OUTPUT, help="Write the page.")
@click.option("--json", "as_json", metavar="FILE", type=OUTPUT, help="Write all figures.")
def main(folders: tuple[Path, ...], others: tuple[Path, ...], count: int, few: int, targets: str, strengths: str,
         noise: float, only: str | None, slow: bool, models: str | None, plot: Path | None, pictures: Path | None,
         page: Path | None, as_json: Path | None) -> None:  # fmt: skip
    """Compare the filters, OpenCV's forms of them, tuned classical smoothers and the bundled networks.

    Targets and tuned parameters are kept in the user's cache, so another run begins where this one stopped. Exit
    codes: 0 done, 1 failed, 2 wrong usage, 4 OpenCV or matplotlib is not installed.
    """
    opencv().setNumThreads(1)
    if plot or pictures:
        check_plot()
    for path in (plot, pictures, page, as_json):
        if path and not path.parent.is_dir():
            raise UsageError(f"{path.parent} is no folder; make it before the measurements begin")
    wanted, smoothers = read_targets(targets, strengths), read_smoothers(only, slow)
    networks = _split(models) if models else bundled_models()
    plans = [(target, *fixed_ways(target, networks)) for target in wanted]
    scored, tuning = (spread(find_images(paths), most) for paths, most in ((folders, count), (others, few)))
    tuning_pieces = _noisy(pieces(tuning, find_images(folders)), noise)
    images = _noisy([read_picture(path, SMALLEST) for path in scored], noise)
    header = describe() | {
        "other versions": f"opencv {opencv().__version__}, scikit-image {version('scikit-image')}, "
        f"numba {version('numba')}",
        "scored on": f"{len(scored)} photographs of {' and '.join(map(data_name, folders))}, spread evenly",
        "tuned on": f"{len(tuning)} pictures of {' and '.join(map(data_name, others))}, reduced, their centres of "
        f"{PIECE} pixels",
        **({"noise": f"σ = {noise:g} levels on all of them"} if noise else {}),
        "command": command(),
    }
    comparisons = []
    for target, ways, left_out in plans:
        ways += tuned_ways(target, smoothers, tuning_pieces)
        found = compare(target, ways, left_out, images)
        comparisons.append(found)
        click.echo(plain(found) + "\n")
    header["load after"] = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    if plot or pictures:
        from compare import pictures as drawn

        if plot:
            _save(drawn.plot(comparisons), plot)
        if pictures:
            _save(drawn.details(comparisons), pictures)
    if as_json:
        write_text(as_json, json.dumps(record(header, comparisons), indent=1))
    if page:
        write_text(page, markdown(header, comparisons, _beside(plot, page), _beside(pictures, page)))


def read_targets(names: str, strengths: str) -> list[Target]:
    """The targets in the order named; UsageError for a filter or a strength that cannot be."""
    found: list[Target] = []
    for name in _split(names):
        if name not in FILTERS:
            raise UsageError(f"expected targets out of {', '.join(FILTERS)}, got {name}")
        found += [Target(name, _number(text)) for text in _split(strengths)] if name == "l0" else [Target(name)]
    if not found:
        raise UsageError(f"expected at least one target out of {', '.join(FILTERS)}, and for l0 a strength; got none")
    return found


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"expected strengths above 0 between commas, got {text!r}")
    return value


def read_smoothers(only: str | None, slow: bool) -> list[str]:
    """Names of classical smoothers."""
    names = _split(only) if only is not None else [name for name, found in CLASSICAL.items() if slow or not found.slow]
    for name in names:
        if name not in CLASSICAL:
            raise UsageError(f"expected classical smoothers out of {', '.join(CLASSICAL)}, got {name}")
    return names


def tuned_ways(target: Target, smoothers: Sequence[str], pictures: Sequence[Picture]) -> list[Way]:
    """The classical smoothers with the parameters that come nearest to the target on these pictures."""
    pairs, ways = [(picture, target.maker.target(picture)) for picture in pictures], []
    with bar(f"tuning for {target.title}", len(smoothers)) as advance:
        for number, name in enumerate(smoothers):
            ways.append(Way("classical", name, target, tuned(name, target.maker, pairs)))
            advance(number + 1)
    return ways


def _noisy(pictures: Sequence[Picture], level: float) -> list[Picture]:
    return [with_noise(picture, level, seed) if level else picture for seed, picture in enumerate(pictures)]


def compare(target: Target, ways: Sequence[Way], left_out: list[str], images: Sequence[Picture]) -> Comparison:
    """Every way measured on the pictures."""
    with bar(f"targets of {target.title}", len(images)) as advance:
        pairs = list(zip(images, in_parallel(target.maker.target, images, advance), strict=True))
    with bar(f"scoring {target.title}", len(pairs)) as advance:
        rows = measure(ways, pairs, advance)
    with bar(f"memory for {target.title}", len(rows)) as advance:
        for number, row in enumerate(rows):
            row.megabytes = None if row.way.kind == "nothing" else megabytes(row.way, pairs[0][0])
            advance(number + 1)
    for row in rows:
        if row.way.kind == "exact" and not row.exact:
            say(f"{target.title}: the filter's results are {row.psnr:.1f} dB from the targets kept in the cache, which "
                "other versions of its libraries made")  # fmt: skip
    return Comparison(target, rows, left_out)


def command() -> str:
    """What was typed, without the folders that say where this machine keeps its data."""
    words = [
        word if word.startswith("-") or not os.path.isdir(word) else data_name(Path(word)) for word in sys.argv[1:]
    ]
    return f"`python tools/compare_smoothers.py {' '.join(words)}`"


def _split(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _beside(picture: Path | None, page: Path) -> str | None:
    """The path from the page to the picture."""
    return None if picture is None else Path(os.path.relpath(picture, page.parent)).as_posix()


def _save(picture: Any, path: Path) -> None:
    """A figure of matplotlib or a picture of Pillow."""
    with replace_when_done(path) as temporary:
        picture.savefig(temporary) if hasattr(picture, "savefig") else picture.save(temporary, quality=78)


if __name__ == "__main__":
    sys.exit(main())
