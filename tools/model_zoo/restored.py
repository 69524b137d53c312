"""The sections of a page that only denoisers and enlargers have."""

from typing import Any

from .sections import decibels, other_photographs, seams, seconds, table, tile_of

PUBLISHED = {
    # luma on Set5, as each paper prints it
    ("scale", 2): "SRCNN 36.66 dB, FSRCNN 37.00, VDSR 37.53, MemNet 37.78",
    ("scale", 3): "SRCNN 32.75 dB, FSRCNN 33.16, VDSR 33.66, MemNet 34.09",
    # σ 25 on Set12, of noise neither clipped nor rounded, by networks for grey and mostly for this σ alone
    ("noise", 25): "BM3D 29.97 dB, DnCNN 30.43, RDN 30.60",
}
SETS = {"scale": "Set5", "noise": "Set12"}


def calls(name: str, task: dict[str, Any]) -> str:
    """How a person and a program call it."""
    if "scale" in task:
        return f'`Upscaler("{name}").run(image)`, `pnen-smooth --model {name} SMALL LARGE`'
    return (
        f'`Smoother("{name}").run(image)`, `pnen-smooth --model {name} IN OUT` take σ from the picture and say so; '
        "`strength=25`, `--strength 25` take it from you; a map of σ, one for each pixel, is taken too"
    )


def what_for(task: dict[str, Any]) -> str:
    """What it does, in a few words."""
    if "scale" in task:
        return f"enlarges {task['scale']} times"
    return f"takes away Gaussian noise of σ {task['strengths'][0]:g} to {task['strengths'][-1]:g}"


def about(task: dict[str, Any]) -> str:
    """What it does, in sentences."""
    if "scale" in task:
        return (f"It enlarges pictures {task['scale']} times: bicubic interpolation, whose luma the network sharpens "
                "on the small picture's own grid; colour stays bicubic.")  # fmt: skip
    least, most = task["strengths"]
    return f"It takes Gaussian noise of any σ from {least:g} to {most:g} levels out of pictures in colour and in grey."


def measurements(name: str, record: dict[str, Any]) -> list[str]:
    """Scores on all sets, what is published, strengths beside non-local means, other photographs, seams."""
    parts = [*_scores(name, record), *(_non_local_means(name, record) if "non_local_means" in record else [])]
    return [*parts, *other_photographs(name, record), *seams(record)]


def _scores(name: str, record: dict[str, Any]) -> list[str]:
    task, scores, cpu = record["task"], record["scores"], record["cpu"]
    kind = "scale" if "scale" in task else "noise"
    nothing = "bicubic" if kind == "scale" else "noisy"
    rows, every = [], (scores, *record["others"])
    for found in every:
        before, after = found["rows"].values()
        rows.append([found["on"], str(found["images"]), f"{decibels(before['psnr'])} / {before['ssim']:.4f}",
                     f"**{decibels(after['psnr'])}** / {after['ssim']:.4f}", decibels(found["least_gain"]),
                     seconds(after["cpu_seconds"])])  # fmt: skip
    option = "" if kind == "scale" else f" --strengths {task['noise']:g}"
    how = (f"Luma, {task['scale']} pixels along the border left out, bicubic as MATLAB's `imresize`." if kind == "scale"
           else f"Noise of σ {task['noise']:g} on 8-bit pictures, clipped and rounded to 8 bits, which the network is "
           "told; grey pictures in one channel.")  # fmt: skip
    parts = ["## Scores", f"{how} In tiles of {tile_of(scores)}; the seconds are those of one thread on "
             f"{cpu['processor']} in {cpu['runtime']}, for a picture.",
             table(["", "pictures", f"{nothing}, dB / SSIM", "this network, dB / SSIM", "least gain of a picture, dB",
                    "CPU s"], rows),
             "\n".join(f"    pnen-train evaluate {name} {found['on']}{option}" for found in every)]  # fmt: skip
    if published := PUBLISHED.get((kind, task[kind])):
        of = "" if kind == "scale" else ", with noise neither clipped nor rounded and networks for grey alone"
        parts.append(f"Published on {SETS[kind]}{of}, for orientation: {published}.")
    return parts


def _non_local_means(name: str, record: dict[str, Any]) -> list[str]:
    found, rows = record["non_local_means"], []
    head = ["σ", *(way["name"] for way in found["rows"][0]["ways"]), "**this network**, told σ",
            "it estimates σ itself", "estimates"]  # fmt: skip
    for row in found["rows"]:
        least, mean, most = row["estimated"]
        rows.append([f"{row['sigma']:g}", *(_timed(way) for way in row["ways"]), _timed(row["network"]),
                     decibels(row["auto"]["psnr"]), f"{mean:.1f} ({least:.1f} to {most:.1f})"])  # fmt: skip
    levels = ",".join(f"{row['sigma']:g}" for row in found["rows"])
    return ["## Beside non-local means", f"On {found['images']} photographs of {found['on']}, spread evenly: PSNR in "
            "dB and CPU seconds of one thread. Both ways were told σ, and their settings were tuned for each σ on the "
            "held-out photographs.", table(head, rows),
            f"    pnen-train evaluate {name} {found['on']} --limit {found['images']} --strengths {levels}"]  # fmt: skip


def _timed(scores: dict[str, Any]) -> str:
    return f"{decibels(scores['psnr'])} ({seconds(scores['cpu_seconds'])} s)"
