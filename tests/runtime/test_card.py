import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pnen_runtime import Card, EngineError
from pnen_runtime.cuda.driver import Gpu
from pnen_runtime.engine_file import misfit, rebuild_command
from pnen_runtime.plan import describe_tiles, plan_tiles

FIELDS = [entry.name for entry in fields(Card)]
NAMES = [
    *("channels", "scales", "key_channels", "filter", "noise", "scale", "flavour", "version", "gpu", "profiles"),
    *("name", "options", "built", "key_limit", "compute_capability", "hardware", "plan_bytes", "compute_capabilities"),
    *("build", "function"),
]
plain = st.dictionaries(
    st.text(max_size=8).filter(lambda name: name not in NAMES),  # which have types of their own
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
cards = st.builds(
    Card,
    network=st.text(max_size=40),
    task=plain,
    config=plain,
    channels=st.sampled_from([1, 3]),
    training_crop=st.integers(1, 4096),
    tile=st.integers(16, 4096) | st.just("whole"),
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
        ('{"format": 1, "network": 3, "task": {}}', "network = 3: expected str, got int"),
        ('{"format": 1, "network": "pnen", "task": {}, "tile": "big"}', "tile = 'big': invalid enum value"),
        ('{"format": 1, "network": "pnen", "task": {}, "tile": true}', "tile = True"),
        ('{"format": 1, "network": "pnen", "task": {}, "tile_step": 0}', "tile_step = 0: expected int >= 1"),
        ('{"format": 1, "network": "pnen", "task": {}, "channels": 4}', "channels = 4: invalid enum value 4"),
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


DEEP, LONG = "[" * 5000 + "]" * 5000, "1" * 5000
HOSTILE = [
    *('"network": []', '"task": "l0"', '"config": [1]', '"channels": "3"', '"channels": true', '"channels": 1e400'),
    *('"tile": 0', '"tile": 1e3', '"tile": 99999999', '"tile": 8', '"tile": null', '"tile_step": -1', '"live_maps": 0'),
    *('"live_maps": 1000000000000', '"minimum_side": 0', '"max_logit": "x"', '"max_logit": NaN', '"parity": 1'),
    *('"training": []', '"precision": "int8"', '"target": 1', '"weights_sha256": "../../x"', '"format": 1.5'),
    *(f'"training": {{"a": {value}}}' for value in (DEEP, LONG, "-Infinity", '"\\ud800"')),
    *(f'"config": {{"{key}": {value}}}' for key, value in [
        ("channels", '"64"'), ("channels", "0"), ("channels", "100000"), ("channels", "[64]"), ("scales", "8"),
        ("scales", "[0]"), ("scales", "[2.5]"), ("scales", '["2"]'), ("scales", "[null]"), ("scales", "{}"),
        ("scales", "[" + "2, " * 100 + "2]"), ("key_channels", "-3")]),
    *(f'"task": {{"{key}": {value}}}' for key, value in [
        ("scale", '"3"'), ("scale", "0"), ("scale", "1000000"), ("scale", "null"),
        ("scale", "[2]"), ("noise", '"loud"'),
        ("filter", "3")]),
    *(f'"engine": {{"{key}": {value}}}' for key, value in [
        ("flavour", "3"), ("flavour", '"nvidia"'), ("version", "10"), ("version", f'"{LONG}"'), ("gpu", '"H100"'),
        ("gpu", "{}"), ("gpu", '{"name": 3, "compute_capability": "9.0"}'), ("profiles", "3"), ("profiles", "[[1]]"),
        ("gpu", '{"name": "H100", "compute_capability": "x"}'), ("profiles", '[[["a"]]]'),
        ("profiles", "[[[1, 16], [1, 16], [1, 16]]]"), ("options", "[]"), ("options", '{"hardware": "--help"}'),
        ("options", '{"version_compatible": "no"}'), ("key_limit", '"many"'), ("compute_capabilities", '"SM90"'),
        ("built", "7"), ("built", '{"plan_bytes": "many"}'), ("built", '{"plan_sha256": 7}'),
        ("built", '{"plan_bytes": -1}'),
        ("built", '{"activation_bytes": 3}')]),
]  # fmt: skip


@pytest.mark.parametrize("field", HOSTILE, ids=lambda field: field[:50])
def test_a_hostile_card_is_one_line(field):
    rest = {"format": 1, "network": "pnen", "task": {}}
    rest.pop(field[1:].partition('"')[0], None)
    text = "{" + field + ", " + json.dumps(rest)[1:]
    with pytest.raises(EngineError, match="model.onnx: (the model card|expected a PNEN)") as caught:
        Card.from_json(text, "model.onnx")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
)


@given(values, st.sampled_from(FIELDS))
@settings(max_examples=60)
def test_any_value_of_any_field_is_taken_or_one_line(value, field):
    found = {"format": 1, "network": "pnen", "task": {}} | {field: value}
    try:
        card = Card.from_json(json.dumps(found), "model.onnx")
    except EngineError:
        return
    plan = plan_tiles(card, 100, 100, 10**8)
    assert plan.tile >= 1 and describe_tiles(card, 10**8, None, None)
    misfit(card, "10.9.0.34", Gpu("a", "9.0"))
    assert rebuild_command(Path("a.engine"), card)
    assert Card.from_json(card.to_json()) == card
