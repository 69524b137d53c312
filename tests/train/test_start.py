"""Weights that a run begins with: of the same network, of an adjustable one, of one of fewer stages."""

import pytest
import torch
from click.testing import CliRunner

from pnen_runtime.errors import CheckpointError, UsageError
from pnen_train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pnen_train.cli import main
from pnen_train.config import recipe_from
from pnen_train.models import build
from pnen_train.training.state import State
from pnen_train.training.train import train

CPU = torch.device("cpu")
SMALL = {"name": "pnen", "channels": 8, "dilations": [1, 2], "scales": [4], "key_channels": 4, "value_channels": 4}
ADJUSTABLE = {"strengths": [0.002, 0.2], "contrast_power": 0.5}
NETWORKS = {
    "the paper's": {},
    "without a block": {"scales": []},
    "with every bias": {"dilated_bias": True, "block_bias": True, "init": "author"},
    "blocks in one stage": {"block_stages": [1], "init": "he"},
    "on a grid": {"grid": 2, "equivariant": True, "leak": 0.1},
    "adjustable": {"grid": 2, "equivariant": True} | ADJUSTABLE,
}


def test_a_run_begins_with_the_weights_it_is_told_and_records_which(tmp_path, tiny, pairs):
    first = train(tiny(), pairs[:3], pairs[3:], tmp_path / "first", device="cpu")
    path = str(tmp_path / "first" / "best.pt")
    state = State.fresh(tiny(optimiser={"start": path}, run={"seed": 5}), pairs, CPU)
    best = load_checkpoint(path)
    for key, weight in state.model.state_dict().items():
        torch.testing.assert_close(weight, best.weights[key], rtol=0, atol=0)
    assert state.training["start"] == {"weights": path, "sha256": best.sha256()} and state.step == 0
    assert "start" not in first.training
    with pytest.raises(UsageError, match="expected weights to start with of the recipe's own network"):
        State.fresh(tiny(network={"channels": 6}, optimiser={"start": path}), pairs, CPU)
    with pytest.raises(UsageError, match="no such checkpoint"):
        State.fresh(tiny(optimiser={"start": "nowhere"}), pairs, CPU)


def started(path, settings, stages, task):
    """A network of random weights with these settings and so many stages, kept in `path`."""
    torch.manual_seed(3)
    model = build("pnen", {key: value for key, value in SMALL.items() if key != "name"} | settings | {"stages": stages})
    for name, weight in model.state_dict().items():
        if weight.is_floating_point():
            weight.copy_(
                0.5 * torch.randn_like(weight).abs() if name.endswith("var") else 0.1 * torch.randn_like(weight)
            )
    save_checkpoint(path, Checkpoint.of("pnen", model, training={"task": task}))
    return model.eval()


@pytest.mark.parametrize("stages", [(1, 2), (2, 5)], ids=lambda stages: f"{stages[0]} to {stages[1]}")
@pytest.mark.parametrize("network", NETWORKS)
def test_a_deeper_network_begins_with_the_pictures_of_its_start(network, stages, tmp_path, pairs):
    settings, path = NETWORKS[network], tmp_path / "start.pt"
    target = {"filter": "l0"} | ({"strengths": [0.002, 0.02, 0.2]} if "strengths" in settings else {})
    start = started(path, settings, stages[0], target | {"strength": 0.02})
    own = {key: value for key, value in settings.items() if key != "strengths"}
    sections = {"network": SMALL | own | {"stages": stages[1]}, "target": target, "optimiser": {"start": str(path)}}
    state = State.fresh(recipe_from(sections), pairs, CPU)
    given = [torch.rand(2, 3, 21, 26), *[torch.full((2, 1, 21, 26), 0.02)] * ("strengths" in settings)]
    for mode in (True, False):
        with torch.no_grad():
            images, expected = state.model.train(mode)(*given), start.train(mode)(*given)
        torch.testing.assert_close(images[-1], expected[-1], atol=1e-5, rtol=0)
        for image in images[stages[0] - 1 : -1]:
            torch.testing.assert_close(image, expected[-2], atol=1e-5, rtol=0)
    assert state.training["start"]["sha256"] == load_checkpoint(path).sha256()


def test_the_further_stages_of_a_deeper_network_learn(tmp_path, tiny, pairs):
    train(tiny(), pairs[:3], pairs[3:], tmp_path / "first", device="cpu")
    recipe = tiny(network={"stages": 3}, optimiser={"start": str(tmp_path / "first" / "last.pt")})
    before = State.fresh(recipe, pairs[:3], CPU).model.state_dict()
    after = train(recipe, pairs[:3], pairs[3:], tmp_path / "deeper", device="cpu").weights
    further = [key for key in after if key.split(".")[:2] in (["dilated", "2"], ["blocks", "2"], ["exits", "2"])]
    assert further and all(not torch.equal(after[key], before[key]) for key in further if key.endswith("weight"))


def test_an_adjustable_start_of_fewer_stages_is_taken_at_its_default_strength(tmp_path, pairs):
    settings, path = {"grid": 2, "equivariant": True, "scales": []} | ADJUSTABLE, tmp_path / "start.pt"
    start = started(path, settings, 2, {"filter": "l0", "strength": 0.01, "strengths": [0.002, 0.2]})
    own = {key: value for key, value in settings.items() if key not in ADJUSTABLE}
    sections = {"network": SMALL | own | {"stages": 4}, "target": {"filter": "wmf"}, "optimiser": {"start": str(path)}}
    model, image = State.fresh(recipe_from(sections), pairs, CPU).model.eval(), torch.rand(1, 3, 20, 20)
    with torch.no_grad():
        expected = start(image, torch.full((1, 1, 20, 20), 0.01))[-1]
        torch.testing.assert_close(model(image)[-1], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("changes", [{"stages": 1}, {"stages": 3, "channels": 6}, {"stages": 3, "init": "he"}], ids=str)
def test_a_start_of_more_stages_or_of_other_settings_is_refused(changes, tmp_path, pairs):
    started(tmp_path / "start.pt", {}, 2, {"filter": "l0"})
    sections = {"network": SMALL | changes, "optimiser": {"start": str(tmp_path / "start.pt")}}
    with pytest.raises(UsageError, match=f"it has.* {changes['stages']} and not 2"):
        State.fresh(recipe_from(sections), pairs, CPU)


@pytest.mark.parametrize(
    "task", [{}, {"filter": "none"}, {"filter": "l0", "strength": "x"}, {"function": "a:b"}], ids=str
)
def test_an_adjustable_start_that_names_no_default_strength_is_refused(task, tmp_path, pairs):
    settings, path = {"grid": 2, "equivariant": True, "scales": []} | ADJUSTABLE, tmp_path / "start.pt"
    started(path, settings, 2, task)
    own = {key: value for key, value in settings.items() if key not in ADJUSTABLE}
    sections = {"network": SMALL | own | {"stages": 2}, "optimiser": {"start": str(path)}}
    with pytest.raises(CheckpointError, match="default strength"):
        State.fresh(recipe_from(sections), pairs, CPU)


@pytest.mark.parametrize("dry", [True, False], ids=["dry run", "run"])
@pytest.mark.parametrize(
    ("start", "code", "line"),
    [
        ("nowhere", 2, "nowhere: no such checkpoint"),
        ("x" * 5000, 2, "no such checkpoint"),
        ("other.pt", 2, "it has channels 8 and not 6"),
        ("torn.pt", 1, "expected a PNEN checkpoint"),
    ],
    ids=["missing", "long", "other", "torn"],
)
def test_a_start_that_does_not_fit_shows_before_targets_are_made(
    start, code, line, dry, tmp_path, images, recipe_file, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    started(tmp_path / "other.pt", {"channels": 6, "dilations": [1]}, 2, {"filter": "l0"})
    (tmp_path / "torn.pt").write_bytes((tmp_path / "other.pt").read_bytes()[:999])
    monkeypatch.setattr("pnen_train.data.targets.Maker.target", lambda *_: pytest.fail("a target was made"))
    recipe = recipe_file(optimiser={"start": start})
    result = CliRunner().invoke(main, ["run", str(recipe), str(images), *["--dry-run"] * dry])
    assert result.exit_code == code and line in result.stderr, result.output
