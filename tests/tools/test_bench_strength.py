"""The comparison of all ways on adjustable networks: each at the strength that its card says."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pnen_runtime.card import Card
from pnen_train.checkpoint import Checkpoint, save_checkpoint
from pnen_train.models import build

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from bench import network, worker
from bench.network import count_flops

TINY = {"channels": 4, "stages": 1, "dilations": [1], "scales": [2], "key_channels": 2, "value_channels": 3}
RANGE = {"least": 0.002, "most": 0.2, "default": 0.02, "unit": "λ", "scale": "log"}
ADJUSTABLE = TINY | {"strengths": [0.002, 0.2]}
CARD = Card(network="pnen", task={}, config=ADJUSTABLE, tile=32, tile_step=24, strength=RANGE)


def test_pytorch_runs_an_adjustable_network_at_the_cards_strength_or_at_those_given(tmp_path, monkeypatch):
    task = {"filter": "l0", "strength": 0.02}
    checkpoint = Checkpoint.of("pnen", build("pnen", ADJUSTABLE | {"init": "he"}), training={"task": task})
    save_checkpoint(tmp_path / "tiny.pt", checkpoint)
    monkeypatch.setattr(network, "make_card", lambda _: CARD)
    backend = network.TorchBackend(str(tmp_path / "tiny.pt"))
    batch, model = np.random.default_rng(0).random((2, 3, 20, 18), np.float32), checkpoint.model()
    found = {}
    for strength in (0.02, 0.2):
        maps = np.full((2, 1, 20, 18), strength, np.float32)
        with torch.inference_mode():
            found[strength] = model(*map(torch.from_numpy, (batch, maps)))[-1].numpy()
        np.testing.assert_allclose(backend.run(batch, maps), found[strength], atol=1e-6)
    np.testing.assert_array_equal(backend.run(batch), backend.run(batch, np.full_like(maps, 0.02)))
    assert np.abs(found[0.02] - found[0.2]).max() > 0.1
    more = count_flops(model, (2, 20, 18)) - count_flops(build("pnen", TINY), (2, 20, 18))
    assert more == 2 * 2 * 20 * 18 * 9 * 4  # the strengths are a fourth channel of the entry


SHAPES = {"batch": (2, 3, 32, 40), "tiles": (70, 60, 3), "whole": (40, 40, 3)}


@pytest.mark.parametrize("setting", SHAPES)
def test_a_worker_runs_an_adjustable_network_at_the_cards_strength(monkeypatch, tmp_path, setting):
    class Dimming:
        name = info = "dimming"
        card = CARD

        def run(self, batch, strength=None):
            return batch * np.float32(0.02 if strength is None else strength)

    monkeypatch.setattr(worker, "open_backend", lambda *_, **__: Dimming())
    np.save(tmp_path / "input.npy", np.ones(SHAPES[setting], np.float32))
    case = {"input": str(tmp_path / "input.npy"), "setting": setting, "shape": (1, 32, 32), "step": 24}
    run = worker.Run(case | {"program": "onnxruntime-cpu", "file": "none", "model": "none", "threads": 1})
    run.load()
    run.warm()
    assert run.run()["network_ms"] >= 0
    np.testing.assert_allclose(run.result, np.full(SHAPES[setting], 0.02), rtol=1e-5)
