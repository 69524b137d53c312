"""The main job on real photographs: the bundled checkpoint is exported, proven, built, and run without torch.

The engine is TensorRT's where that and a GPU are here, else TensorRT-RTX's, which builds without a GPU.
"""

import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from pnen_runtime import Smoother
from pnen_runtime.commands import Command
from pnen_runtime.cuda.driver import first_gpu
from pnen_train.data.filters import filter_image
from pnen_train.metrics import psnr

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")  # they come with scikit-image
STRENGTHS = (0.005, 0.02, 0.1)
COMMANDS = Path(sys.executable).parent


def command(*words: str | Path) -> tuple[float, float]:
    """Run one of the project's commands as a user would; its seconds, and its peak memory in MB."""
    print(f"\n$ {' '.join(map(str, words))}", flush=True)
    start = perf_counter()
    process = subprocess.Popen([COMMANDS / words[0], *map(str, words[1:])])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(os.waitstatus_to_exitcode(status))
    return perf_counter() - start, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def sheet(rows: list[list[tuple[str, np.ndarray]]], width: int = 480) -> Image.Image:
    """Pictures in rows, each of `width` pixels with a caption under it."""
    caption, font = 24, ImageFont.load_default(size=16)
    pictures = [[fitted(picture, width) for _, picture in row] for row in rows]
    heights = [row[0].height + caption for row in pictures]
    page = Image.new("RGB", (width * len(rows[0]), sum(heights)), "white")
    draw, top = ImageDraw.Draw(page), 0
    for row, placed, height in zip(rows, pictures, heights, strict=True):
        for column, ((text, _), picture) in enumerate(zip(row, placed, strict=True)):
            page.paste(picture, (column * width, top))
            draw.text((column * width + 4, top + height - caption + 2), text, "black", font)
        top += height
    return page


def fitted(picture: np.ndarray, width: int) -> Image.Image:
    """The picture at this width."""
    return Image.fromarray(picture).resize((width, round(width * picture.shape[0] / picture.shape[1])))


def strengths_of(smoother: Smoother) -> list[list[tuple[str, np.ndarray]]]:
    """Two photographs, each at several strengths and with its details brought out, with captions."""
    return [[(name, before), *((f"strength {s:g}", smoother.run(before, strength=s)) for s in STRENGTHS),
             ("detail 1: the other way", smoother.run(before, detail=1))]
            for name, before in ((name, getattr(data, name)()) for name in PHOTOGRAPHS[:2])]  # fmt: skip


@click.command(cls=Command)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Export, prove, smooth, and put the pictures side by side in FOLDER."""
    started = perf_counter()
    photographs, smooth = folder / "photographs", folder / "smooth"
    photographs.mkdir(parents=True, exist_ok=True)
    for name in PHOTOGRAPHS:
        Image.fromarray(getattr(data, name)()).save(photographs / f"{name}.png")
    exporting, export_mb = command("pnen-export", "--fp16", "l0", "--out", folder)
    engine = folder / "l0.fp16.engine"
    if engine.exists() and first_gpu() is not None:
        command("pnen-smooth", photographs, folder / "smooth_by_engine", "--model", engine, "--overwrite")
    model = folder / "l0.ort.fp16.onnx"
    smoothing, smooth_mb = command("pnen-smooth", photographs, smooth, "--model", model, "--overwrite")
    rows = []
    for name in PHOTOGRAPHS:
        before, after = (np.asarray(Image.open(part / f"{name}.png")) for part in (photographs, smooth))
        target = filter_image(before, "l0", {})
        top, left = before.shape[0] // 4, before.shape[1] // 3
        crop = np.s_[top : top + before.shape[0] // 3, left : left + before.shape[1] // 3]
        score = f"network (PSNR to the filter {psnr(after, target):.1f} dB)"
        rows.append([(name, before), (score, after), ("L0 filter itself", target)])
        rows.append([(f"{name}, enlarged", before[crop]), ("network", after[crop]), ("L0 filter itself", target[crop])])
    page = folder / "before_after.jpg"
    sheet(rows).save(page, quality=88)
    with Smoother("l0") as smoother:
        sheet(strengths_of(smoother)).save(folder / "strengths.jpg", quality=80)
    print(f"\nlook at {page}; smoothed photographs are in {smooth}")
    print(f"export and proof {exporting:.0f} s, peak {export_mb:.0f} MB")
    print(f"smoothing {len(PHOTOGRAPHS)} photographs without torch {smoothing:.1f} s, peak {smooth_mb:.0f} MB")
    print(f"all {perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
