"""With frozen norms a network learns just as it is used later: BatchNorm keeps the statistics that it began with."""

import torch

from pnen_train.checkpoint import load_checkpoint
from pnen_train.training import train as training
from pnen_train.training.state import State
from pnen_train.training.train import train

CPU = torch.device("cpu")


def statistics(weights):
    return {name: value for name, value in weights.items() if "running_" in name}


def test_statistics_stay_and_weights_move_also_over_validations_and_a_resumption(tmp_path, tiny, pairs):
    first = train(tiny(), pairs[:3], pairs[3:], tmp_path / "first", device="cpu")
    start = {"start": str(tmp_path / "first" / "last.pt"), "frozen_norms": True}
    recipe = tiny(optimiser=start | {"steps": 8}, run={"evaluate_every": 2})
    whole = train(recipe, pairs[:3], pairs[3:], tmp_path / "whole", device="cpu")
    assert statistics(whole.weights) and whole.weights.keys() == first.weights.keys()
    for name, value in statistics(first.weights).items():
        assert torch.equal(whole.weights[name], value), name
    assert not torch.equal(whole.weights["entry.weight"], first.weights["entry.weight"])

    half = tiny(optimiser=start | {"steps": 4}, run={"evaluate_every": 2})
    train(half, pairs[:3], pairs[3:], tmp_path / "parts", device="cpu")
    train(recipe, pairs[:3], pairs[3:], tmp_path / "parts", device="cpu", resume=True)
    again = load_checkpoint(tmp_path / "parts" / "last.pt")
    assert all(torch.equal(again.weights[name], value) for name, value in whole.weights.items())


def test_what_is_learnt_is_the_network_in_use(tiny, pairs, monkeypatch):
    """In training and in evaluation it gives the same pictures, as it does not while statistics follow batches."""
    image = torch.rand(2, 3, 24, 24)
    for frozen in (True, False):
        state = State.fresh(tiny(network={"init": "he"}, optimiser={"frozen_norms": frozen}), pairs, CPU)
        state.learn()
        with torch.no_grad():
            learning = state.model(image)[-1]
            state.model.eval()
            assert torch.allclose(learning, state.model(image)[-1], atol=1e-6) == frozen


def test_a_validation_leaves_them_frozen(tiny, pairs):
    state = State.fresh(tiny(optimiser={"frozen_norms": True}), pairs, CPU)
    training.validate(state, pairs[:1], CPU)
    norms = [part for part in state.model.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert norms and state.model.training and not any(part.training for part in norms)
