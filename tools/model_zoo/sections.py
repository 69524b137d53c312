"""The sections of a bundled model's page: tables of its record in plain words."""

from typing import Any

from pnen_train.checkpoint import Checkpoint
from pnen_train.evaluation.seams import ALLOWED, ALLOWED_FLAT
from pnen_train.evaluation.study import TOLERANCE

from .flat import COLOURS
from .learnt import ends_of
from .scores import BORDER

FILTERS = {"l0": "L0 gradient minimisation", "wmf": "the weighted median", "sd": "the SD filter"}


def measurements(name: str, record: dict[str, Any]) -> list[str]:
    """Scores on two sets, strengths, noise, flat colour and seams."""
    parts = [*_scores(name, record), *other_photographs(name, record)]
    if record["scores"].get("strengths"):
        parts += _strengths(name, record)
    return [*parts, *_noise(record), *_flat(record), *seams(record)]


def _scores(name: str, record: dict[str, Any]) -> list[str]:
    scores, cpu, published = record["scores"], record["cpu"], record.get("published")
    nothing, network = scores["rows"].values()
    rows = [[label, decibels(s["psnr"]), f"{s['ssim']:.4f}", f"{s['ssim_box7']:.4f}", seconds(time)] for label, s, time
            in (("doing nothing", nothing, None), ("**this network**", network, network["cpu_seconds"]))]  # fmt: skip
    rows.append(["the filter itself", "", "", "", seconds(cpu["filter_seconds"])])
    default = ends_of(record["task"])[len(ends_of(record["task"])) // 2]
    at, option = ("", "") if default is None else (f" at strength {default:g}", f" --strengths {default:g}")
    few = ""
    if "limit" in scores:
        few, option = ", spread evenly", f"{option} --limit {scores['limit']}"
    parts = ["## Scores", f"On {scores['images']} photographs of {scores['on']}{few}, which it was not trained on,{at} "
             f"in tiles of {tile_of(scores)} pixels; 8-bit results against the filter's 8-bit results. The seconds are "
             f"those of one thread on {cpu['processor']}, the network's in {cpu['runtime']}, the filter's on "
             f"{cpu['filter_images']} of the photographs in the same run.",
             table(["", "PSNR dB", "SSIM", "SSIM (7x7 box)", "CPU s per image"], rows),
             f"    pnen-train evaluate {name} {scores['on']}{option}",
             f"The RMS error in the {BORDER} pixels along the border is {number(scores['border'])} times that of the "
             "inside, a mean over the photographs."]  # fmt: skip
    if published:
        parts.append(f"For orientation only: the paper reports {published['psnr']} dB / {published['ssim']} for "
                     f"{published['of']}.")  # fmt: skip
    return parts


def other_photographs(name: str, record: dict[str, Any]) -> list[str]:
    """The held-out set, and the command that scores the same pictures."""
    scores, other, rows = record["scores"], record["held_out"], []
    for found in (scores, other):
        nothing, network = found["rows"].values()
        rows.append([found["on"], str(found["images"]), decibels(nothing["psnr"]), decibels(network["psnr"]),
                     decibels(network["psnr"] - nothing["psnr"])])  # fmt: skip
    default = ends_of(record["task"])[len(ends_of(record["task"])) // 2]
    option = "" if default is None else f" --strengths {default:g}"
    return ["## Photographs of another kind", f"Held out of training and reduced to about 512 pixels as the training's "
            f"were; the tile was chosen on them. The gain differs by {other['gain_difference']:+.2f} dB from that on "
            f"{scores['on']}.",
            table(["", "photographs", "doing nothing, dB", "this network, dB", "gain, dB"], rows),
            f"    pnen-train pictures {other['on']} holdout --sizes 1 --clean\n"
            f"    pnen-train evaluate {name} holdout{option}"]  # fmt: skip


def _strengths(name: str, record: dict[str, Any]) -> list[str]:
    sets = record["scores"], record["held_out"]
    head, rows = ["strength"], []
    for found in sets:
        head += [f"{found['on']}: doing nothing, dB", "this network, dB"]
    for first, second in zip(*(found["strengths"]["rows"] for found in sets), strict=True):
        rows.append([f"{first['strength']:g}", *_both(first), *_both(second)])
    rows.append(["mean", *_both(sets[0]["strengths"]["mean"]), *_both(sets[1]["strengths"]["mean"])])
    count = sets[0]["strengths"]["images"]
    return ["## Strengths", f"On {count} of the photographs of {sets[0]['on']}, spread evenly, and on the "
            f"{sets[1]['strengths']['images']} held-out ones.", table(head, rows),
            f"    pnen-train evaluate {name} {sets[0]['on']} --limit {count}"]  # fmt: skip


def _both(row: dict[str, Any]) -> list[str]:
    return [decibels(row["nothing"]["psnr"]), decibels(row["network"]["psnr"])]


def _noise(record: dict[str, Any]) -> list[str]:
    noise = record["noise"]
    head = ["noise, levels", *(str(row["noise"]) for row in noise["rows"])]
    rows = [["doing nothing, dB", *(decibels(row["nothing"]) for row in noise["rows"])],
            ["this network, dB", *(decibels(row["psnr"]) for row in noise["rows"])]]  # fmt: skip
    return ["## Noise", f"{noise['images']} of the held-out photographs with Gaussian noise of this standard "
            "deviation, clipped and rounded to 8 bits: PSNR to what the filter makes of the noisy picture.",
            table(head, rows)]  # fmt: skip


def _flat(record: dict[str, Any]) -> list[str]:
    kinds = {"centre": "flat pictures, centre", "any": "flat pictures, any pixel", "text": "page of text",
             "screen": "screenshot"}  # fmt: skip
    head = ["strength", *kinds.values()]
    rows = [[strength_of(row), *(number(row[key]) for key in kinds)] for row in record["flat"]]
    return ["## Flat colour", f"The largest change in levels: of flat pictures of 128x128 pixels in {len(COLOURS)} "
            "colours (black, white, grey, red, green, blue and others); on drawn pages of text and screenshots, the "
            "largest mean change of a colour in its flat areas, where the filter leaves them alone (a dash: it does "
            "so nowhere).", table(head, rows)]  # fmt: skip


def seams(record: dict[str, Any]) -> list[str]:
    """What two grids of tiles differ by."""
    seam = record["seam"]
    rows = [[strength_of(row), *(number(row[key]) for key in ("photographs", "sky", "gradient"))]
            for row in seam["rows"]]  # fmt: skip
    return ["## Seams", f"Two grids of tiles of {tile_of(record)}, half a step apart, differ by at most so many levels "
            f"in the mean of any 16x16 pixels: on {seam['images']} photographs (the held-out ones and some of "
            "scikit-image's), in the sky of scikit-image's rocket, and on a synthetic gradient. The aim is "
            f"{ALLOWED:g} on photographs, {ALLOWED_FLAT:g} on the others.",
            table(["strength", "photographs", "sky", "gradient"], rows)]  # fmt: skip


def training(name: str, checkpoint: Checkpoint) -> list[str]:
    """Steps, rates, pictures, the commands that repeat it, and the curve."""
    record, recipe = checkpoint.training, checkpoint.training["recipe"]
    optimiser, run, crops = recipe["optimiser"], recipe["run"], recipe["data"]
    unfinished = f" of {optimiser['steps']:,}" if checkpoint.step < optimiser["steps"] else ""
    words = [f"{checkpoint.step:,}{unfinished} steps of {crops['batch']} crops of {crops['crop']} pixels"]
    if crops.get("late_share"):
        words.append(f"the last {crops['late_share']:.0%} of {crops['late_batch']} of {crops['late_crop']} pixels")
    words.append(f"{optimiser.get('method', 'adam').capitalize()} from {optimiser['learning_rate']:g}, schedule "
                 f"{optimiser['schedule']} down to {optimiser['minimum_rate']:g}")  # fmt: skip
    if optimiser.get("start"):
        words.append(f"begun with the weights of {optimiser['start']}{_of_before(record.get('start', {}))}")
    if optimiser.get("average"):
        words.append(f"weights averaged with a decay of {optimiser['average']:g} a step")
    words.append(f"precision {record.get('precision', run['precision'])}, seed {run['seed']}")
    took = f" It took {record['seconds'] / 60:,.0f} minutes ({record['device']})." if "seconds" in record else ""
    note = f" {record['note']}" if "note" in record else ""
    parts = ["## Training", f"{', '.join(words)}.{took} On {record['trained_on']}.{note}",
             "\n".join(f"    {line}" for line in record["reproduce"])]  # fmt: skip
    return (
        [*parts, f"![validation PSNR over the steps]({name}_curve.png)"] if len(record.get("curve", ())) > 1 else parts
    )


def _of_before(start: dict[str, Any]) -> str:
    """Of the trainings that went before, where the start is no bundled model."""
    if "step" not in start:
        return ""
    took = f" in {start['seconds'] / 60:,.0f} minutes" if "seconds" in start else ""
    earlier = start.get("start")
    more = f", begun with those of {earlier['weights']}{_of_before(earlier)}" if earlier else ""
    return f" ({start['step']:,} steps{took}{more})"


def tiles(record: dict[str, Any]) -> list[str]:
    """The tiles that were compared, and why one is recommended."""
    study = record["study"]
    rows = [[str(row["tile"]), str(row["step"] or ""), decibels(row["psnr"]), "" if row["step"] is None else
             number(row["seam"]), seconds(row["cpu_seconds"])] for row in record["tile_study"]]  # fmt: skip
    why = "The block relates every pixel to the whole tile, so its size is a setting."
    if not record["recipe"]["network"].get("scales", [8]):
        why = "Without a block a tile is right but near its borders; those are dropped where tiles overlap enough."
    at = (
        ", at the default strength and, where that leaves none, at the highest"
        if len(ends_of(record["task"])) > 1
        else ""
    )
    return ["## Tiles", f"{why} On {study['images']} photographs of {study['on']}, never on those of the scores; one "
            f"thread; the seam is the largest of all{at}.",
            table(["tile", "step", "PSNR dB", "seam, levels", "CPU s per image"], rows),
            f"The card recommends {tile_of(record)}: of the tiles whose seam is at most {ALLOWED:g} level (or else the "
            f"one with the smallest) the fastest within {TOLERANCE} dB of the best. Whole pictures are not "
            "recommended: large ones would take too long and too much memory."]  # fmt: skip


def failures(name: str, record: dict[str, Any]) -> list[str]:
    """The pictures of the places where it is worst."""
    at = ", at the default strength" if len(ends_of(record["task"])) > 1 else ""
    wanted = "the filter" if "filter" in record["task"] else "the picture as it was"
    parts = ["## Failures", f"![input, network, what it should be and error]({name}_failures.jpg)",
             "Of four photographs that come with scikit-image, the squares of 96 pixels where the network differs most "
             f"from {wanted}{at}."]  # fmt: skip
    if "noise" in record["task"]:
        parts += [
            f"![what is left of noise of other kinds]({name}_other_noise.jpg)",
            "Noise of other kinds is out of its scope: blocks of a strong JPEG, the Poisson noise of few photons "
            "(larger where it is bright), and grain of several pixels. The network estimates σ itself here.",
        ]
    return parts


def licence(record: dict[str, Any]) -> list[str]:
    """Of the weights, and what they were trained on."""
    return ["## Licence", f"The weights are under {record['licence']}. Trained on {record['trained_on']}. Photographs "
            f"of {record['scores']['on']} were used for the scores above alone."]  # fmt: skip


def table(head: list[str], rows: list[list[str]]) -> str:
    """In Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tile_of(record: dict[str, Any]) -> str:
    """Tile and step."""
    return f"{record['tile']} every {record['tile_step']}"


def strength_of(row: dict[str, Any]) -> str:
    """Of a row of a table; the filter's own where there is one."""
    return "its own" if row["strength"] is None else f"{row['strength']:g}"


def decibels(value: float | None) -> str:
    """None is the infinite PSNR of results that equal their targets."""
    return "equal" if value is None else f"{value:.2f}"


def seconds(value: float | None) -> str:
    """Empty where there is none."""
    return "" if value is None else f"{value:.2f}"


def number(value: float | None) -> str:
    """In levels, or a ratio; a dash where there is none."""
    return "-" if value is None else f"{value:.2g}" if isinstance(value, float) else str(value)
