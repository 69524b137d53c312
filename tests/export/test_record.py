"""From a training record to a model card."""

import json

import pytest
import torch

from pnen_export.record import make_card
from pnen_runtime.card import Card
from pnen_runtime.errors import CheckpointError


def test_says_what_the_checkpoint_is(checkpoint):
    made = checkpoint(scores={"psnr": 31.5, "images": 10}, recipe={"run": {"seed": 1}})
    card = make_card(made, 12.5)
    assert (card.network, card.config, card.channels) == ("pnen", made.config, 3)
    assert card.task == {"filter": "l0", "lambda": 0.02}
    assert (card.training_crop, card.tile, card.tile_step) == (48, 64, 40)
    assert card.weights_sha256 == made.sha256()
    assert card.training == {"steps": 7, "scores": {"psnr": 31.5, "images": 10}, "recipe": {"run": {"seed": 1}}}
    assert card.max_logit == 12.5


@pytest.mark.parametrize(
    ("task", "default", "unit"),
    [
        ({"filter": "l0", "strength": 0.02, "kappa": 2.0, "strengths": [0.01, 75]}, 0.02, "λ of L0"),
        ({"filter": "wmf", "radius": 10, "sigma": 50.0}, 50.0, "σ of the weighted median"),
        ({"filter": "sd", "strength": 15.0}, 15.0, "λ of the SD"),
        ({"noise": 25}, 25, "8-bit levels"),
    ],
)
def test_strength_of_an_adjustable_network_is_that_of_its_task(checkpoint, network, task, default, unit):
    model = network("adjustable", strengths=[0.01, 75.0])
    card = make_card(checkpoint(model, task=task))
    assert unit in card.strength.pop("unit")
    assert card.strength == {"least": 0.01, "most": 75.0, "default": default, "scale": "log"}
    assert card.task == task
    assert make_card(checkpoint(task=task)).strength == {}


@pytest.mark.parametrize("task", [{}, {"filter": "l0"}, {"filter": "l0", "strength": 3.0}, {"noise": "much"}, "l0",
                                  {"filter": {"": {}}}, {"filter": ["l0"], "strength": 0.02}])  # fmt: skip
def test_an_adjustable_network_without_a_default_strength_is_refused(checkpoint, network, task):
    with pytest.raises(CheckpointError, match=r"strengths from 0.002 to 0.2.* default"):
        make_card(checkpoint(network("adjustable"), task=task))


def test_licence_and_pictures_are_fields_of_the_card(checkpoint):
    card = make_card(checkpoint(licence="CC0-1.0", trained_on="free pictures"))
    assert (card.licence, card.trained_on, card.training) == ("CC0-1.0", "free pictures", {"steps": 7})
    none = make_card(checkpoint())
    assert (none.licence, none.trained_on) == ("", "")


def test_numbers_that_json_does_not_have_become_null(checkpoint):
    infinite = float("inf")
    card = make_card(checkpoint(scores={"psnr": infinite, "each": [1.0, float("nan"), (-infinite,)]}), infinite)
    assert card.training["scores"] == {"psnr": None, "each": [1.0, None, [None]]}
    assert card.max_logit is None
    assert Card.from_json(card.to_json()) == card
    json.loads(card.to_json(), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"task": "l0"}, "task"),
        ({"tile": -3}, "tile"),
        ({"tile": 4}, "tile = 4: expected int >= minimum_side, 16"),
        ({"tile_step": 100}, "step of 1 to 64"),
        ({"crop": "large"}, "training_crop"),
        ({"licence": 3}, "licence"),
        ({"trained_on": ["a", "b"]}, "trained_on"),
        ({"tile": torch.zeros(2)}, "JSON"),
        ({"scores": torch.zeros(2)}, "JSON"),
        ({"task": {"lambda": float("nan")}}, "JSON"),
    ],
)
def test_a_record_that_makes_no_card_is_refused_in_one_line(checkpoint, record, message):
    with pytest.raises(CheckpointError, match=message) as error:
        make_card(checkpoint(**record))
    assert "\n" not in str(error.value)
