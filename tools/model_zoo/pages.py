"""The measured part of a bundled model's page, and the index of all pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pnen_runtime.card import Card
from pnen_runtime.errors import UsageError
from pnen_runtime.files import write_text
from pnen_runtime.onnx_card import read_onnx_card
from pnen_train.checkpoint import Checkpoint, load_checkpoint
from pnen_train.data.filters import STRENGTH
from pnen_train.models import count_parameters

from . import restored, sections
from .classical import all_in_one, beside_classical
from .learnt import ends_of, maker_of
from .sections import FILTERS, decibels, number, seconds, table, tile_of

BEGIN, END = "<!-- measured -->", "<!-- end -->"
WANTED, FILTER_WANTED = {"scores", "held_out", "seam", "study", "task"}, {"noise", "flat"}  # in its record
NEW_PAGE = f"""# {{name}}: a bundled network that {{does}}

{BEGIN}
{END}

## Intended use, limits

Photographs, drawings and screenshots in RGB, 8 bits and up. How far it is from the filter, and on what, is measured
above; the pictures under Failures show where it is worst.
"""
NEW_RESTORED = f"""# {{name}}: a bundled network that {{does}}

{BEGIN}
{END}

## Intended use, limits

Photographs of 8 bits and up. Where it is worst is shown under Failures.
"""
NEW_INDEX = f"""# The bundled models

{BEGIN}
{END}
"""


@dataclass(frozen=True)
class Model:
    """A bundled model: its checkpoint and its ONNX file."""

    name: str
    checkpoint: Checkpoint
    file: Path

    @classmethod
    def read(cls, name: str, checkpoints: Path, files: Path) -> "Model":
        """UsageError where it was not measured as `zoo.py add` does it now."""
        model = cls(name, load_checkpoint(checkpoints / f"{name}.pt"), files / f"{name}.onnx")
        wanted = WANTED | (FILTER_WANTED if "filter" in model.training.get("task", {}) else set())
        if missing := wanted - model.training.keys():
            raise UsageError(f"{name}: expected a model measured by tools/zoo.py add, its record lacks "
                             f"{', '.join(sorted(missing))}; add it again")  # fmt: skip
        return model

    @property
    def training(self) -> dict[str, Any]:
        """The record."""
        return self.checkpoint.training

    @cached_property
    def card(self) -> Card:
        """Of the ONNX file."""
        return read_onnx_card(self.file)

    @property
    def megabytes(self) -> float:
        """Of the ONNX file."""
        return self.file.stat().st_size / 1e6


def write_page(path: Path, model: Model) -> None:
    """Put what is measured between the markers of the page; a page that is missing is begun."""
    task = model.training["task"]
    does = f"imitates {FILTERS[task['filter']]}" if "filter" in task else restored.what_for(task)
    measured = (sections if "filter" in task else restored).measurements(model.name, model.training)
    classical = beside_classical(model.name, path.parent) if "filter" in task else []
    parts = [*about(model), *measured, *classical, *sections.training(model.name, model.checkpoint),
             *sections.tiles(model.training), *sections.failures(model.name, model.training),
             *sections.licence(model.training)]  # fmt: skip
    _put(path, (NEW_PAGE if "filter" in task else NEW_RESTORED).format(name=model.name, does=does), "\n\n".join(parts))


def about(model: Model) -> list[str]:
    """What the network is, what it does and how it is called."""
    name, config, task = model.name, model.checkpoint.config, model.training["task"]
    grid = f" on a grid of {config['grid']} pixels" if config.get("grid", 1) > 1 else ""
    block = f"non-local blocks at scale {' and '.join(map(str, config['scales']))}" if config.get("scales") else (
        "no non-local block")  # fmt: skip
    what = (f"A {model.checkpoint.network.upper()} of {count_parameters(model.checkpoint.model()):,} parameters{grid}, "
            f"with {block}; {model.megabytes:.1f} MB.")  # fmt: skip
    does, calls = _imitates(model) if "filter" in task else (restored.about(task), restored.calls(name, task))
    return [f"{what} {does}", f"**Use.** {calls}. `mix`, from 0 to 1, blends the result with the picture. The "
            f"checkpoint is `pnen_train/bundled/{name}.pt`, the ONNX file that the runtime loads "
            f"`pnen_runtime/bundled/{name}.onnx`; "
            f'what is measured on this page is also in its card, `Smoother("{name}").card`.']  # fmt: skip


def _imitates(model: Model) -> tuple[str, str]:
    """Which filter it imitates, and its calls."""
    name, card, own = model.name, model.card, maker_of(model.training["task"])
    free = STRENGTH[own.filter] if card.strength else None
    settings = ", ".join(f"{key} {value}" for key, value in own.settings.items() if key != free)
    ends = ends_of(model.training["task"])
    least, usual, most = ends[0], ends[len(ends) // 2], ends[-1]
    what = f"It imitates {FILTERS[own.filter]}"
    if least is None:
        return (f"{what} with {settings}, and knows this strength alone: another one is refused.",
                f'`Smoother("{name}").run(image)`, `pnen-smooth --model {name} IN OUT`')  # fmt: skip
    unit = f" ({card.strength['unit']})" if card.strength.get("unit") else ""
    return (f"{what} at every strength{unit} from {least:g} to {most:g}; {usual:g} where none is asked for. The "
            f"filter's other settings: {settings}.",
            f'`Smoother("{name}").run(image, strength={usual:g})`, `pnen-smooth --model {name} --strength {usual:g} IN '
            "OUT`; a map of strengths, one for each pixel, is taken too")  # fmt: skip


HEAD = ["model", "imitates", "strength", "MB", "BSDS500/val, dB (doing nothing)", "held-out, dB (doing nothing)",
        "CPU s", "the filter's", "tile", "seam, levels", "licence"]  # fmt: skip
HEAD_RESTORED = ["model", "what it does", "MB", "BSDS500/val, dB (noisy, bicubic)", "held-out, dB", "CPU s", "tile",
                 "seam, levels", "licence"]  # fmt: skip


def write_index(path: Path, models: Sequence[Model]) -> None:
    """Tables of all models and the picture of their tiles."""
    imitating = [model for model in models if "filter" in model.training["task"]]
    restoring = [model for model in models if model not in imitating]
    _put(path, NEW_INDEX, "\n\n".join([*_index(imitating), *all_in_one(path.parent), *_index_restored(restoring)]))


def _index(models: Sequence[Model]) -> list[str]:
    if not models:
        return []
    scored = {model.training["scores"]["on"] for model in models}
    head = [text.replace("BSDS500/val", " or ".join(sorted(scored))) for text in HEAD]
    first, most = models[0].training, max(model.training["scores"]["images"] for model in models)
    fewer = [f"{model.training['scores']['images']} of them for {model.name}" for model in models
             if model.training["scores"]["images"] < most]  # fmt: skip
    return [
        table(head, [_row(model) for model in models]),
        "PSNR is that of 8-bit results against the filter's, at the default strength, on photographs that the models "
        f"were not trained on: {most} of {' or '.join(sorted(scored))}{''.join(f' ({text})' for text in fewer)}, and "
        f"{first['held_out']['images']} of another kind, on which alone the tiles were chosen. CPU seconds are those "
        "of one thread for a photograph of the former, of network and filter in the same run. The seam is the largest "
        "difference that another grid of tiles makes to the mean of 16x16 pixels.",
        "The picture is of the held-out photographs, which are larger, so its figures are not the table's.",
        "![PSNR against CPU seconds for every model and tile](zoo.png)",
    ]


def _row(model: Model) -> list[str]:
    record, own = model.training, maker_of(model.training["task"])
    least, most = ends_of(record["task"])[0], ends_of(record["task"])[-1]
    network = list(record["scores"]["rows"].values())[1]
    return [f"[{model.name}]({model.name}.md)", FILTERS[own.filter],
            "one" if least is None else f"{least:g} to {most:g}", f"{model.megabytes:.1f}",
            _beside_nothing(record["scores"]), _beside_nothing(record["held_out"]), seconds(network["cpu_seconds"]),
            seconds(record["cpu"]["filter_seconds"]), *_tile_and_licence(record)]  # fmt: skip


def _index_restored(models: Sequence[Model]) -> list[str]:
    if not models:
        return []
    scored = " or ".join(sorted({model.training["scores"]["on"] for model in models}))
    rows = [[f"[{model.name}]({model.name}.md)", restored.what_for(model.training["task"]), f"{model.megabytes:.1f}",
             _beside_nothing(model.training["scores"]), _beside_nothing(model.training["held_out"]),
             seconds(list(model.training["scores"]["rows"].values())[1]["cpu_seconds"]),
             *_tile_and_licence(model.training)] for model in models]  # fmt: skip
    head = [text.replace("BSDS500/val", scored) for text in HEAD_RESTORED]
    how = "PSNR is that against the picture as it was: noise at σ 25, in colour; of enlarged pictures the luma."
    return [table(head, rows), how]


def _tile_and_licence(record: dict[str, Any]) -> list[str]:
    seam = max(row["photographs"] for row in record["seam"]["rows"])
    return [tile_of(record), number(seam), record["licence"].partition(":")[0]]


def _beside_nothing(scores: dict[str, Any]) -> str:
    nothing, network = scores["rows"].values()
    return f"{decibels(network['psnr'])} ({decibels(nothing['psnr'])})"


def _put(path: Path, fresh: str, measured: str) -> None:
    text = path.read_text("utf-8") if path.exists() else fresh
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UsageError(f"{path}: expected {BEGIN} and then {END}, between which the measured part goes")
    write_text(path, f"{before}{BEGIN}\n{measured}\n{END}{after}")
