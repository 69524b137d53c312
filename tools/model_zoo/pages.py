"""The measured part of a bundled model's page, and the index of all pages."""

from pathlib import Path
from typing import Any

from pnen_runtime.errors import UsageError
from pnen_runtime.files import write_text
from pnen_train.checkpoint import Checkpoint
from pnen_train.models import count_parameters
from pnen_train.study import TOLERANCE

BEGIN, END = "<!-- measured -->", "<!-- end -->"
NEW_PAGE = f"""# {{name}}: the bundled network for {{filter}} smoothing

A {{network}} of {{parameters:,}} parameters. It imitates the filter {{filter}} with {{settings}}.

**Use.** `Smoother("{{name}}")`, `pnen-smooth --model {{name}} IN OUT`; the checkpoint is
`pnen_train/bundled/{{name}}.pt`, the ONNX file that `Smoother` loads `pnen_runtime/bundled/{{name}}.onnx`. What is
measured on this page is also in its model card: `Smoother("{{name}}").card`.

{BEGIN}
{END}

## Intended use, limits

Photographs in RGB, 8 bits and up. It does not know how to be weaker or stronger than what it was trained for;
`run(image, strength=...)` only mixes input and result. The training photographs are for non-commercial research and
education; see the data set's own terms before using these weights in a product.
"""
NEW_INDEX = f"""# The bundled models

{BEGIN}
{END}
"""


def write_page(path: Path, name: str, checkpoint: Checkpoint) -> None:
    """Put what is measured between the markers of the page; a page that is missing is begun."""
    task = dict(checkpoint.training["task"])
    filter_name = task.pop("filter").upper()
    settings = ", ".join(f"{key} {value}" for key, value in task.items())
    fresh = NEW_PAGE.format(name=name, filter=filter_name, network=checkpoint.network.upper(), settings=settings,
                            parameters=count_parameters(checkpoint.model()))  # fmt: skip
    _put(path, fresh, "\n\n".join(_parts(name, checkpoint)))


def write_index(path: Path, models: dict[str, tuple[Checkpoint, int]], picture: bool) -> None:
    """A table of all models (with the bytes of each ONNX file), and the picture of them where there is one."""
    rows = []
    for name, (checkpoint, size) in models.items():
        nothing, network = checkpoint.training["scores"]["rows"].values()
        rows.append([f"[{name}]({name}.md)", checkpoint.training["task"]["filter"].upper(),
                     f"{count_parameters(checkpoint.model()):,}", f"{size / 1e6:.1f}",
                     f"{network['psnr']:.2f} / {network['ssim']:.4f}", f"{nothing['psnr']:.2f} / {nothing['ssim']:.4f}",
                     _tile(checkpoint.training), _seconds(network.get("cpu_seconds"))])  # fmt: skip
    head = ["model", "filter", "parameters", "MB", "PSNR dB / SSIM", "doing nothing", "tile", "CPU s per image"]
    parts = [table(head, rows), "PSNR and SSIM of 8-bit results against the filter's, on photographs that the models "
             "were not trained on. CPU seconds are those of one thread in ONNX Runtime."]  # fmt: skip
    if picture:
        parts += ["The picture is of the photographs on which tiles were compared, so its PSNR is not the table's.",
                  "![PSNR against CPU seconds for every model and tile](zoo.png)"]  # fmt: skip
    _put(path, NEW_INDEX, "\n\n".join(parts))


def table(head: list[str], rows: list[list[str]]) -> str:
    """In Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _parts(name: str, checkpoint: Checkpoint) -> list[str]:
    training = checkpoint.training
    return [
        *_scores(name, training),
        *_training(name, checkpoint),
        *_tiles(training),
        "## Failures",
        f"![input, network, filter and error]({name}_failures.jpg)",
        "Of four photographs that come with scikit-image, the squares of 96 pixels where the network differs most from "
        "the filter.",
    ]


def _scores(name: str, training: dict[str, Any]) -> list[str]:
    scores, cpu, published = training["scores"], training.get("cpu"), training.get("published")
    nothing, network = scores["rows"].values()
    labels = {"doing nothing": nothing, "**this network**": network}
    rows = [[label, f"{s['psnr']:.2f}", f"{s['ssim']:.4f}", f"{s['ssim_box7']:.4f}"] for label, s in labels.items()]
    head = ["", "PSNR dB", "SSIM", "SSIM (7x7 box)"]
    timed = ""
    if cpu:
        head.append("CPU s per image")
        rows = [[*rows[0], ""], [*rows[1], _seconds(network["cpu_seconds"])],
                ["the filter itself", "", "", "", _seconds(cpu["filter_seconds"])]]  # fmt: skip
        timed = (f" The seconds are those of one thread on {cpu['processor']}, the network's in {cpu['runtime']}, "
                 f"the filter's on {cpu['filter_images']} photographs.")  # fmt: skip
    parts = ["## Scores", f"On {scores['images']} photographs that it was not trained on, tiles of {_tile(scores)} "
             f"pixels, 8-bit results against the filter's 8-bit results.{timed}",
             table(head, rows), f"    pnen-train evaluate {name} {scores.get('on', 'BSDS500/val')}"]  # fmt: skip
    if published:
        parts.append(f"For orientation only: the paper reports {published['psnr']} dB / {published['ssim']} for "
                     f"{published['of']}.")  # fmt: skip
    return parts


def _training(name: str, checkpoint: Checkpoint) -> list[str]:
    training, recipe = checkpoint.training, checkpoint.training["recipe"]
    optimiser, run, crops = recipe["optimiser"], recipe["run"], recipe["data"]
    unfinished = f" of {optimiser['steps']:,}" if checkpoint.step < optimiser["steps"] else ""
    words = [f"{checkpoint.step:,}{unfinished} steps of {crops['batch']} crops of {crops['crop']} pixels"]
    if crops.get("late_share"):
        words.append(f"the last {crops['late_share']:.0%} of {crops['late_batch']} of {crops['late_crop']} pixels")
    words.append(f"{optimiser.get('method', 'adam').capitalize()} from {optimiser['learning_rate']:g}, schedule "
                 f"{optimiser['schedule']} down to {optimiser['minimum_rate']:g}")  # fmt: skip
    if optimiser.get("start"):
        words.append(f"begun with the weights of {optimiser['start']}")
    if optimiser.get("average"):
        words.append(f"weights averaged with a decay of {optimiser['average']:g} a step")
    words.append(f"precision {training.get('precision', run['precision'])}, seed {run['seed']}")
    took = f" It took {training['seconds'] / 60:,.0f} minutes ({training['device']})." if "seconds" in training else ""
    data = f"Data: {training['data']}; {training['licence']}."
    parts = ["## Training", f"{', '.join(words)}.{took} {data}", f"    {training['reproduce']}"]
    return [*parts, f"![validation PSNR over the steps]({name}_curve.png)"] if training.get("curve") else parts


def _tiles(training: dict[str, Any]) -> list[str]:
    cpu, study = training.get("cpu"), training["tile_study"]
    unit = "CPU s per image" if cpu else "s per image"
    rows = [[str(row["tile"]), str(row["step"] or ""), f"{row['psnr']:.2f}",
             _seconds(row["cpu_seconds"] if cpu else row["seconds"])] for row in study]  # fmt: skip
    tiled = "The block relates every pixel to the whole tile, so its size is a setting."
    if training["recipe"]["network"].get("scales") == []:
        tiled = "Without a block the tile matters little: pixels near its border see less around them."
    where = f" On {cpu['study_images']} of the photographs, one thread." if cpu else " PyTorch, clock time."
    return ["## Tiles", f"{tiled}{where}",
            table(["tile", "step", "PSNR dB", unit], rows),
            f"The card recommends {_tile(training)}: the fastest tile within {TOLERANCE} dB of the best. Whole "
            "pictures are not recommended: large ones would take too long and too much memory."]  # fmt: skip


def _tile(record: dict[str, Any]) -> str:
    return f"{record['tile']} every {record['tile_step']}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _put(path: Path, fresh: str, measured: str) -> None:
    text = path.read_text("utf-8") if path.exists() else fresh
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UsageError(f"{path}: expected {BEGIN} and then {END}, between which the measured part goes")
    write_text(path, f"{before}{BEGIN}\n{measured}\n{END}{after}")
