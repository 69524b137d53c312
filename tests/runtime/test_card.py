import json
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnen_runtime import Card, EngineError
from pnen_runtime.card import _EXPECTED

plain = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
cards = st.builds(
    Card,
    network=st.text(),
    task=plain,
    config=plain,
    channels=st.sampled_from([1, 3]),
    training_crop=st.integers(1, 4096),
    tile=st.integers(1, 4096) | st.just("whole"),
    tile_step=st.integers(1, 4096),
    training=plain,
    precision=st.sampled_from(["fp32", "fp16"]),
    target=st.sampled_from(["onnx", "ort"]),
    live_maps=st.integers(1, 999),
    max_logit=st.none() | st.floats(0, 1e6),
    parity=plain,
    engine=plain,
)


@given(cards)
def test_a_card_comes_back_from_its_json(card):
    assert Card.from_json(card.to_json()) == card


def test_fields_of_a_later_version_are_left_out(card):
    text = json.dumps(asdict(card()) | {"mood": "sunny"})
    assert Card.from_json(text) == card()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "expected a PNEN model card"),
        ('{"name": "yolo"}', "expected a PNEN model card"),
        ('{"format": 2, "network": "pnen"}', "format 2, this version reads 1"),
        ('{"format": 1, "network": "pnen"}', "lacks 'task'"),
        ('{"format": 1, "network": 3, "task": {}}', "network = 3, expected text"),
        ('{"format": 1, "network": "pnen", "task": {}, "tile": "big"}', "tile = 'big', expected a number of pixels"),
        ('{"format": 1, "network": "pnen", "task": {}, "tile": true}', "tile = True"),
        ('{"format": 1, "network": "pnen", "task": {}, "tile_step": 0}', "tile_step = 0"),
        ('{"format": 1, "network": "pnen", "task": {}, "channels": 4}', "channels = 4, expected 1 or 3"),
    ],
)
def test_a_foreign_card_is_refused_in_one_line(text, says):
    with pytest.raises(EngineError) as caught:
        Card.from_json(text, "model.onnx")
    assert says in str(caught.value) and str(caught.value).startswith("model.onnx: ")
    assert "\n" not in str(caught.value)


def test_numbers_that_are_not_finite_are_not_written(card):
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(card(), max_logit=float("inf")).to_json()


def test_every_field_is_checked_when_read():
    assert {entry.name for entry in fields(Card)} == set(_EXPECTED)
