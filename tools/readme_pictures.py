"""The README's two pictures, of photographs that come with scikit-image: python tools/readme_pictures.py."""

from pathlib import Path

import click
import numpy as np
from demo import sheet, strengths_of
from model_zoo.non_local_means import of_scikit_image
from numpy.typing import NDArray
from skimage import data

from pnen_runtime import Smoother, Upscaler
from pnen_runtime.bicubic import resize
from pnen_runtime.commands import Command
from pnen_train.metrics import levels, psnr

Image = NDArray[np.uint8]
Row = list[tuple[str, Image]]  # captions and pictures
DOCS = Path(__file__).parents[1] / "docs"
H = (0.5, 0.6, 0.7, 0.8, 0.9)  # strengths of non-local means, of which the best is shown
PIECES = {"astronaut": np.s_[:200, 120:380], "coffee": np.s_[100:300, 150:410]}


def cleaned(smoother: Smoother, clean: Image, sigma: float, random: np.random.Generator, piece: object) -> Row:
    """A noisy picture, what non-local means and the network make of it, and the picture as it was; of all a piece."""
    noisy = levels((clean + random.normal(0, sigma, clean.shape)) / 255)
    means = max((of_scikit_image(noisy, sigma, h) for h in H), key=lambda found: psnr(found, clean))
    ways = {f"noise of {sigma:g} levels": noisy, "non-local means, told how much": means,
            "denoise, by itself": smoother.run(noisy)}  # fmt: skip
    return _beside(ways, clean, piece)


def enlarged(upscaler: Upscaler, large: Image, piece: object) -> Row:
    """A small picture, what bicubic interpolation and the network make of it, and the large one; of all a piece."""
    scale = upscaler.scale
    height, width = (side // scale for side in large.shape[:2])
    large = np.ascontiguousarray(large[: scale * height, : scale * width])
    small = levels(resize(large / 255, height, width))
    ways = {"bicubic": upscaler.run(small, mix=0), f"enlarge{scale}": upscaler.run(small)}
    near = small.repeat(scale, 0).repeat(scale, 1)
    return [(f"small, {scale} times", near[piece]), *_beside(ways, large, piece)]  # type: ignore[index]


def _beside(ways: dict[str, Image], wanted: Image, piece: object) -> Row:
    shown = {f"{name}: {psnr(picture, wanted):.1f} dB": picture for name, picture in ways.items()}
    return [(text, picture[piece]) for text, picture in [*shown.items(), ("as it was", wanted)]]  # type: ignore[index]


@click.command(cls=Command)
@click.option("--into", type=click.Path(file_okay=False, exists=True, path_type=Path), default=DOCS)
def main(into: Path) -> None:
    """Write strengths.jpg and restored.jpg into docs."""
    with Smoother("l0") as smoother:
        sheet(strengths_of(smoother)).save(into / "strengths.jpg", quality=80)
    random, photographs = np.random.default_rng(0), {name: getattr(data, name)() for name in PIECES}
    with Smoother("denoise") as smoother:
        rows = [cleaned(smoother, photographs[name], sigma, random, PIECES[name])
                for name, sigma in (("astronaut", 25), ("coffee", 50))]  # fmt: skip
    for name, model in (("astronaut", "enlarge2"), ("coffee", "enlarge3")):
        with Upscaler(model) as upscaler:
            rows.append(enlarged(upscaler, photographs[name], PIECES[name]))
    sheet(rows).save(into / "restored.jpg", quality=85)


if __name__ == "__main__":
    main()
