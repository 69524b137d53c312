"""Bundled smoothers leave flat colour alone: of pages of text and screenshots that neither training nor pages drew."""

import numpy as np
import pytest
from model_zoo.flat import colour_change

from pnen_runtime import Smoother, bundled_models
from pnen_train.checkpoint import load_checkpoint
from pnen_train.data.drawn import draw
from pnen_train.data.filters import filter_image
from pnen_train.data.tasks import of_strength

SMOOTHERS = [name for name in bundled_models() if "filter" in load_checkpoint(name).training["task"]]
WITHIN = {"sd": 2}  # levels, in the mean of each colour; of the others, which learnt from more drawn pictures, 1
STRONGEST_WITHIN = 6  # at λ 0.2, where whole windows go flat and a network sees part of them
SEEDS = (3000, 3001)


@pytest.mark.parametrize("name", SMOOTHERS)
@pytest.mark.parametrize("kind", ["text", "screen"])
def test_colours_stay_where_the_filter_leaves_them(name, kind):
    task, counted = load_checkpoint(name).training["task"], 0
    strengths = task.get("strengths", [None])
    with Smoother(name) as smoother:
        for strength in {strengths[0], task.get("strength") if strengths[0] else None, strengths[-1]}:
            settings = of_strength(task, strength)
            chosen = settings.pop("filter")
            for seed in SEEDS:
                picture = draw(kind, 192, seed)
                change = colour_change(picture, filter_image(picture, chosen, settings),
                                       smoother.run(picture, strength=strength))  # fmt: skip
                strongest = strength is not None and strength == strengths[-1]
                assert change is None or change <= (STRONGEST_WITHIN if strongest else WITHIN.get(name, 1)), (
                    strength,
                    seed,
                )
                counted += change is not None
    assert counted >= len(SEEDS)


@pytest.mark.parametrize("name", SMOOTHERS)
def test_a_picture_of_one_colour_comes_back(name):
    task = load_checkpoint(name).training["task"]
    with Smoother(name) as smoother:
        for strength in task.get("strengths", [None]):
            for colour in np.random.default_rng(5).integers(0, 256, (4, 3)):
                flat = np.full((96, 80, 3), colour, np.uint8)
                assert np.abs(smoother.run(flat, strength=strength).astype(int) - flat).max() <= 1
