"""Cards read from the bytes of ONNX files: as onnx reads them, and never anything but an EngineError for torn ones."""

from contextlib import suppress

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pnen_runtime import EngineError
from pnen_runtime.card import KEY, Card
from pnen_runtime.models import BUNDLED, bundled_models
from pnen_runtime.onnx_card import read_onnx_card


@pytest.mark.parametrize("name", bundled_models())
def test_the_card_is_that_of_the_onnx_package(name):
    path = BUNDLED / f"{name}.onnx"
    text = {entry.key: entry.value for entry in onnx.load(path).metadata_props}[KEY]
    assert read_onnx_card(path) == Card.from_json(text)


@given(data=st.data())
@settings(max_examples=200)
def test_damaged_files_end_in_an_engine_error_or_a_card(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    original = (BUNDLED / f"{bundled_models()[0]}.onnx").read_bytes()
    end = data.draw(st.integers(0, len(original)))
    damaged = bytearray(original[:end])
    for _ in range(data.draw(st.integers(0, 3)) if damaged else 0):
        damaged[data.draw(st.integers(0, min(len(damaged), 200) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    with suppress(EngineError):
        assert isinstance(read_onnx_card(path), Card)


def test_a_file_without_a_card_is_named(write, tmp_path):
    with pytest.raises(EngineError, match="without a PNEN card"):
        read_onnx_card(write(tmp_path / "bare.onnx"))
