"""`pnen-train new`: a recipe to begin with."""

import os
import re
from pathlib import Path

import click

from pnen_runtime.commands import Command, say
from pnen_runtime.errors import UsageError
from pnen_runtime.files import write_text

from ..data.own_source import FUNCTION

RECIPE = """\
# A small network that learns to imitate a filter. All settings: pnen_train/config.py; what they come to:
#   pnen-train run {file} --dry-run
# Ten pictures and five minutes show whether it works; it gets better with hundreds of pictures and with hours.
#   pnen-train run {file} IMAGES --max-time 5 --fit

[target]
# Your function, MODULE:FUNCTION: {module}.py in the working folder, or beside this recipe. It takes an (H, W, 3) array
# of float32 in [0, 1] and gives back the same; what it makes of each picture is kept until its source changes.
function = "{function}"
# Where it takes a keyword `strength`: the one, or with `strengths` (rising) the default of an adjustable network.
# strength = 0.1
# strengths = [0.02, 0.05, 0.1, 0.2]
# One of the filters that come along, instead of a function: filter = "l0", "wmf" or "sd".

[network]
name = "pnen"
grid = 2  # works on every second pixel, several times as fast; 1 is exact to the pixel
channels = 24  # more learn more, at more time: 32, 48, 64
stages = 2
scales = []  # [8] lets it look at the whole picture, at much more time
equivariant = true  # flat colour stays as it is
leak = 0.1

[data]
crop = 96  # pixels a side; no picture may be smaller
batch = 4

[optimiser]
method = "muon"  # learns in fewer steps than "adam"
steps = 6000  # --fit sets them to the time instead
learning_rate = 1e-3
schedule = "cosine"
minimum_rate = 1e-6
warmup_steps = 100
clip_norm = 1.0
average = 0.995

[run]
precision = "auto"
evaluate_every = 500
checkpoint_every = 250
validation_images = 8
tile = 256
tile_step = 192
"""


@click.command("new", cls=Command)
@click.argument("name")
@click.option("--function", metavar="MODULE:FUNCTION", help="That makes the targets.  [default: NAME:NAME]")
def command(name: str, function: str | None) -> None:
    """Write the recipe NAME.toml, with comments: a small network that imitates a function of yours."""
    path = Path(name).with_suffix(".toml")
    own = re.sub(r"\W", "_", path.stem)
    function = function or f"{own}:{own}"
    if not FUNCTION.fullmatch(function):
        raise UsageError(f"expected a function like my_module:my_filter, got {function}")
    if os.path.lexists(path):  # a link that leads nowhere, too
        raise UsageError(f"{path}: is there already; choose another name")
    module = function.partition(":")[0].replace(".", "/")
    write_text(path, RECIPE.format(file=path, function=function, module=module))
    say(f"written: {path}, for {function} in {module}.py; next: pnen-train run {path} IMAGES --max-time 5 --fit")
