"""What `prepare` writes is small enough to travel, and is what was prepared when it is read."""

import numpy as np
import onnx
import pytest
from gpu_checks.lab import Lab
from gpu_checks.prepare import WHOLE, inputs_of, networks
from gpu_checks.stored import UNIT, read_reference, write_reference
from gpu_checks.subject import Subject

from pnen_export.export import onnx_name
from pnen_export.inputs import Input
from pnen_export.parity import Reference
from pnen_export.record import make_card
from pnen_runtime.errors import PnenError


def test_a_reference_is_read_as_it_was_written(tmp_path):
    rng = np.random.default_rng(0)
    inputs = [Input("a", "two", [rng.random((n, 3, 5, 4), np.float32) for n in (1, 2)]) for _ in range(12)]
    levels = np.arange(256, dtype=np.float32).reshape(1, 1, 16, 16) / np.float32(255)
    inputs += [Input("b", "levels", [levels], "a map", [rng.random((1, 1, 16, 16), np.float32)])] * 2
    reference = Reference(lambda batch, *_: batch * 4 - 2, inputs)
    write_reference(tmp_path / "a.npz", reference)
    found = read_reference(tmp_path / "a.npz")
    for part, other in zip(reference.inputs, found.inputs, strict=True):
        assert (part.kind, part.size, part.strength) == (other.kind, other.size, other.strength)
        assert all(map(np.array_equal, part.batches + part.maps, other.batches + other.maps))
    for part, other in zip(reference.expected, found.expected, strict=True):
        np.testing.assert_allclose(other, part, rtol=0, atol=UNIT / 2)


def test_what_travels_to_the_card_is_small(tmp_path):
    """The references of both networks, from the shapes of all that they are compared on."""

    def like_a_network(batch, *strength):
        seed = int(sum(map(np.sum, strength)))
        return batch + np.random.default_rng(seed).normal(0, 5e-3, batch.shape).astype(np.float32)

    checkpoints, sizes = networks(), {}
    for name, checkpoint in checkpoints.items():
        inputs = inputs_of(make_card(checkpoint), WHOLE)
        write_reference(tmp_path / f"{name}.npz", Reference(like_a_network, inputs))
        sizes[name] = (tmp_path / f"{name}.npz").stat().st_size / 2**20
    weights = 4 * sum(weight.numel() for weight in checkpoints["full"].weights.values()) / 2**20  # of the rest, none
    assert sum(sizes.values()) + weights < 20, sizes


@pytest.mark.parametrize(("target", "precision"), [("ort", "fp32"), ("onnx", "fp16"), ("ort", "fp16")])
def test_weights_that_another_file_has_are_not_written_again(tiny, tmp_path, target, precision):
    subject = Subject("onnxruntime-cuda", "tiny", precision, target)
    name = onnx_name("tiny", target, precision)
    whole, packed = Lab(tiny[0]).onnx(subject), (tiny[0] / name).read_bytes()
    assert whole.parent.name == "unpacked" and len(packed) < 0.8 * whole.stat().st_size
    base = bytearray((tiny[0] / "tiny.onnx").read_bytes())
    (tmp_path / name).write_bytes(packed)
    (tmp_path / "tiny.onnx").write_bytes(base)
    assert Lab(tmp_path).onnx(subject).read_bytes() == whole.read_bytes()
    for weight in onnx.load(tiny[0] / "tiny.onnx").graph.initializer:
        base[base.find(weight.raw_data) + 3] ^= 1
    (tmp_path / "tiny.onnx").write_bytes(base)
    (tmp_path / "unpacked" / name).write_bytes(b"torn")
    with pytest.raises(PnenError, match=r"expected the weights of .*tiny.onnx as they were, got others; prepare again"):
        Lab(tmp_path).onnx(subject)
