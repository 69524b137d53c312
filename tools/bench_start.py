"""How long a program waits before it can smooth: imports, the bundled network, the first picture, in new processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import click

from pnen_runtime.commands import Command
from pnen_runtime.errors import PnenError

PROBE = """
import json, sys, time
begin, cpu = time.perf_counter(), time.process_time()
exec(sys.argv[1])
seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
from pnen_runtime.memory import peak_bytes_so_far
print(json.dumps([1e3 * seconds, 1e3 * cpu, peak_bytes_so_far() / 1e6]))
"""
OPEN = "from pnen_runtime import Smoother; smoother = Smoother('l0', threads=1)"
WORK = {
    "import numpy, PIL.Image": "import numpy, PIL.Image",
    "import pnen_runtime": "import pnen_runtime",
    "import pnen_runtime.cli (pnen-smooth)": "import pnen_runtime.cli",
    "and open the bundled network": OPEN,
    "and smooth 96x96 pixels": f"{OPEN}; import numpy; smoother.run(numpy.zeros((96, 96, 3), numpy.uint8))",
}


@click.command(cls=Command)
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="New processes of each.")
def main(repeats: int) -> None:
    """Time what comes before the first picture, each in a new process of one thread, and print a table."""
    click.echo("| in a new process | best ms | median | CPU ms | peak MB |\n| --- | ---: | ---: | ---: | ---: |")
    for name, work in WORK.items():
        rows = [measure(work) for _ in range(repeats)]
        wall, cpu, peak = ([row[column] for row in rows] for column in range(3))
        click.echo(f"| {name} | {min(wall):.0f} | {median(wall):.0f} | {min(cpu):.0f} | {max(peak):.0f} |")


def measure(work: str) -> list[float]:
    """Milliseconds, CPU milliseconds and peak megabytes of some Python in a process of its own."""
    paths = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PROBE, work], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise PnenError(f"{work}: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
