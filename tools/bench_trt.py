"""How fast one network runs on everything that this machine has, how exactly, and in how much memory.

The ways take turns on every size, so that a change in the machine's speed meets all of them alike; quote the ratio.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from bench.files import Files
from bench.machine import describe
from bench.measure import Bench, Row
from bench.network import count_flops
from bench.process import Settings
from bench.report import check_plot, print_report, write_csv, write_json, write_plot
from bench.ways import QUICK, REFERENCE, SIZES, WAYS, make_cases, read_ways
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pnen_export.record import make_card
from pnen_runtime.backends import BACKENDS
from pnen_runtime.backends.ort import usable_cores
from pnen_runtime.commands import Command
from pnen_runtime.errors import ParityError, UsageError
from pnen_train.checkpoint import load_checkpoint

LEAST_DB = 60.0  # FP32 and FP16 must come this close to PyTorch FP32; BF16 is only reported
WAYS_HELP = ", ".join(way.key for way in WAYS)
OUTPUT = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("model", default="l0")
@click.option("--quick", is_flag=True, help=f"Only {', '.join(QUICK)}, no whole images, few repeats.")
@click.option("--sizes", metavar="NAME,...", help=f"Out of {', '.join(SIZES)}; or HxW for an image, BxHxW for a batch.")
@click.option("--ways", metavar="NAME,...", help=f"Out of {WAYS_HELP}; {REFERENCE.key} always runs.  [default: all]")
@click.option("--repeats", type=click.IntRange(min=2), help="Most repeats of a row.  [default: 30, quick 10]")
@click.option("--warm-up", type=click.IntRange(min=1), help="Runs that do not count.  [default: 3, quick 1]")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="For the repeats of a row, at least 3; after thrice this it ends in any case.  [default: 20, quick 2]",
)
@click.option(
    "--longest",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    help="Leave out what one run would take longer for.  [default: 60]",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of every way.  [default: all]")
@click.option(
    "--python",
    "pythons",
    metavar="BACKEND=PATH",
    multiple=True,
    help="Another Python that has this backend, as tensorrt=/opt/trt/bin/python; repeatable.",
)
@click.option("--json", "json_path", metavar="FILE", type=OUTPUT, help="Also write everything, each repeat too.")
@click.option("--csv", "csv_path", metavar="FILE", type=OUTPUT, help="Also write the rows as CSV.")
@click.option("--plot", "plot_path", metavar="FILE.png", type=OUTPUT, help="Also draw them (needs matplotlib).")
def main(model: str, quick: bool, sizes: str | None, ways: str | None, repeats: int | None, warm_up: int | None,
         seconds: float | None, longest: float | None, threads: int | None, pythons: tuple[str, ...],
         json_path: Path | None, csv_path: Path | None, plot_path: Path | None) -> None:  # fmt: skip
    """Time MODEL (a checkpoint or a bundled name) in every way, and print a table: Markdown unless on a terminal.

    What cannot run here is named with the reason. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a way in FP32 or FP16
    differs from PyTorch by more than 60 dB allow, 4 something is not installed.

    How near the bundled networks come to their filters in how much time, beside classical smoothers, is shown by
    tools/compare_smoothers.py.
    """
    if plot_path:
        check_plot()
    for path in (json_path, csv_path, plot_path):
        if path and not path.parent.is_dir():
            raise UsageError(f"{path.parent} is no folder; make it before the measurements begin")
    checkpoint = load_checkpoint(model)
    network, card = checkpoint.model(), make_card(checkpoint)
    names = sizes.split(",") if sizes else list(QUICK if quick else SIZES)
    cases = make_cases(card, [name.strip() for name in names], whole=not quick)
    settings = Settings(
        repeats=repeats or (10 if quick else 30),
        warm_up=warm_up or (1 if quick else 3),
        seconds=seconds or (2 if quick else 20),
        longest=longest or 60,
        threads=threads or usable_cores(),
        pythons=read_pythons(pythons),
    )
    rows: list[Row] = []
    header = {"model": f"{model} ({card.network}, {sum(p.numel() for p in network.parameters()):,} parameters)"}
    header |= describe()
    interrupted = None
    with tempfile.TemporaryDirectory() as folder, progress(len(cases)) as (show, advance):
        bench = Bench(model, read_ways(ways), settings, Path(folder), card)
        files = Files(checkpoint, Path(folder), cases, bench.build)
        try:
            show("matrix products")
            bench.measure_rates()
            for case in cases:
                rows += bench.measure(case, case.tiles * count_flops(network, case.shape), files, show)
                advance()
            show("matrix products again")
            bench.measure_rates()
        except KeyboardInterrupt as interrupt:  # report the cases that are complete
            interrupted = interrupt
    for row in rows:
        row.compare_rate(bench.rates)
    rates = ", ".join(f"{name.upper()} {rate / 1e9:,.0f} GFLOP/s" for name, rate in bench.rates.items())
    header["matrix product"] = rates
    header["settings"] = (
        f"CPU threads: {settings.threads}, warm-up {settings.warm_up}, at most {settings.repeats} repeats or about "
        f"{settings.seconds:g} s a row, TF32 off"
    )
    missing = {way.name: bench.missing[way.key] for way in bench.ways if way.key in bench.missing}
    record = {"header": header, "settings": asdict(settings), "rates": bench.rates, "missing": missing}
    print_report(record, rows, Console())
    write(record, rows, json_path, csv_path, plot_path)
    if interrupted:
        raise interrupted
    require_parity(rows)


def write(record: dict[str, Any], rows: list[Row], json_path: Path | None, csv_path: Path | None,
          plot_path: Path | None) -> None:  # fmt: skip
    """The files that were asked for."""
    if json_path:
        write_json(json_path, record, rows)
    if csv_path:
        write_csv(csv_path, rows)
    if plot_path and rows:
        write_plot(plot_path, record, rows)


def require_parity(rows: list[Row]) -> None:
    """ParityError, which names the worst, where a way gives another picture than the reference."""
    compared = [row for row in rows if row.psnr_db is not None and row.precision != "bf16"]
    worst = min(compared, key=lambda row: row.psnr_db, default=None)
    if worst and worst.psnr_db < LEAST_DB:
        raise ParityError(
            f"{worst.name} is {worst.psnr_db:.1f} dB from PyTorch FP32 at {worst.case}, expected {LEAST_DB:g} dB or "
            "more; its times are of no use: export the model again, or in FP32"
        )


def read_pythons(texts: tuple[str, ...]) -> dict[str, str]:
    """BACKEND=PATH, for each backend that another Python has."""
    found = dict(text.partition("=")[::2] for text in texts)
    for backend, path in found.items():
        if backend not in BACKENDS or not Path(path).is_file():
            raise UsageError(
                f"expected one of {', '.join(BACKENDS)} and a Python, as tensorrt=PATH; got {backend}={path}"
            )
    return found


@contextmanager
def progress(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[], None]]]:
    """A bar on stderr where that is a terminal: functions that show what is being done, and that a case is done."""
    console = Console(stderr=True)
    columns = (BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda what: bar.update(task, description=what), lambda: bar.advance(task)


if __name__ == "__main__":
    sys.exit(main())
