"""The recipes that come with the package, and how a command line or another file changes one."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from pnen_runtime.errors import UsageError
from pnen_train.config import RECIPES, Data, read_recipe
from pnen_train.data.batches import on_device
from pnen_train.data.tasks import channels_of
from pnen_train.models import count_parameters
from pnen_train.training.state import State, build_network
from pnen_train.training.step import objective_of, train_step

NAMES = sorted(path.stem for path in RECIPES.glob("*.toml"))
TABLES = {
    1: ("djf", "ceilnet", "resnet", "pnen"),
    4: ("rdn", "rdn-deeper", "rdn-pnb"),
    5: ("memnet", "memnet-deeper", "memnet-pnb"),
}


def pair(channels):
    """Noise, and its negative as the target."""
    image = np.random.default_rng(0).integers(0, 256, (24, 24, channels), dtype=np.uint8)
    return image, 255 - image


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_trains(name):
    recipe = read_recipe(name, ["run.compile=false"])  # which takes half a minute
    recipe = replace(recipe, data=Data(crop=16, batch=2))
    image, target = pair(channels_of(recipe.target))
    if (strengths := recipe.target.get("strengths")) and "filter" in recipe.target:
        target = np.stack([target] * len(strengths))
    pairs = [(image, target)]
    state = State.fresh(recipe, pairs, torch.device("cpu"))
    before = state.model.state_dict()
    before = {key: before[key].clone() for key in list(before)[:2] + list(before)[-2:]}
    objective, images = objective_of(state, torch.device("cpu")), on_device(pairs, torch.device("cpu"))
    for _ in range(2):
        loss, error = train_step(state, images, objective)
        assert np.isfinite([loss, error]).all()
    after = state.model.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_the_rows_of_a_table_differ_in_the_network_and_its_inference_alone():
    for table, rows in TABLES.items():
        for kind in ("", "-small"):
            plans = [asdict(read_recipe("pnen-l0" if (row, kind) == ("pnen", "") else row + kind)) for row in rows]
            for plan in plans:
                if plan["network"]["name"].startswith("ceilnet"):
                    assert plan["optimiser"].pop("loss") == "ceilnet"  # its own
                    plan["optimiser"]["loss"] = "mse"
                for setting in ("tile", "tile_step"):
                    del plan["run"][setting]
                del plan["network"]
            assert all(plan == plans[0] for plan in plans), (table, kind)


@pytest.mark.parametrize(
    ("name", "changes", "parameters"),
    [
        ("resnet", (), 1_961_091),
        ("djf", (), 99_017),
        ("ceilnet", (), 2_285_956),
        ("pnen-l0", ("network.scales=[]",), 1_336_396),
        ("pnen-l0", ("network.scales=[1]",), 1_520_716),
        ("pnen-l0", ("network.name=pnen_none",), 1_336_396),
        ("rdn", (), 22_009_793),
        ("rdn-deeper", (), 24_747_073),
        ("rdn-pnb", (), 22_379_489),
        ("memnet", (), 693_640),
        ("memnet-pnb", (), 1_063_336),
    ],
)
def test_full_size_recipes_have_the_papers_networks(name, changes, parameters):
    with torch.device("meta"):
        assert count_parameters(build_network(read_recipe(name, changes))) == parameters


def test_small_rows_are_in_proportion_to_the_full_ones():
    def ratio(name, base):
        with torch.device("meta"):
            return count_parameters(build_network(read_recipe(name))) / count_parameters(
                build_network(read_recipe(base))
            )

    for name, base in (("djf", "pnen-l0"), ("resnet", "pnen-l0"), ("ceilnet", "pnen-l0"), ("memnet-pnb", "memnet"),
                       ("memnet-deeper", "memnet"), ("rdn-deeper", "rdn")):  # fmt: skip
        small_base = "pnen-small" if base == "pnen-l0" else f"{base}-small"
        assert ratio(f"{name}-small", small_base) == pytest.approx(ratio(name, base), rel=0.15)


def test_a_recipe_extends_another_section_by_section(tmp_path):
    (tmp_path / "base.toml").write_text('[network]\nname = "pnen"\nchannels = 8\n[data]\ncrop = 32\nbatch = 2\n')
    (tmp_path / "more.toml").write_text('extends = "base.toml"\n[network]\nstages = 2\n[data]\nbatch = 3\n')
    (tmp_path / "other.toml").write_text('extends = "more.toml"\n[network]\nname = "djf"\n[target]\nnoise = 5\n')
    more, other = read_recipe(tmp_path / "more.toml"), read_recipe(tmp_path / "other.toml")
    assert more.network == {"name": "pnen", "channels": 8, "stages": 2}
    assert (other.network, other.target) == ({"name": "djf"}, {"noise": 5})
    assert more.data == other.data == Data(crop=32, batch=3)


def test_a_changed_setting_is_read_as_toml_or_as_text_and_another_target_begins_anew():
    recipe = read_recipe("pnen-l0", ["target.filter=wmf", "target.radius = 3", "network.scales=[2, 4]", "run.seed=7",
                                     "optimiser.schedule=cosine", 'run.tile="whole"'])  # fmt: skip
    assert recipe.target["filter"] == "wmf" and recipe.target["radius"] == 3 and "strength" not in recipe.target
    assert recipe.network == {"name": "pnen", "scales": [2, 4]}
    assert (recipe.run.seed, recipe.optimiser.schedule, recipe.run.tile) == (7, "cosine", "whole")
    assert read_recipe("pnen-l0", ["target.noise=15"]).target == {"noise": 15}
    assert build_network(read_recipe("pnen-small", ["target.noise=15"])).config.image_channels == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("filter=wmf", "expected SECTION.KEY=VALUE"),
        ("target.filter", "expected SECTION.KEY=VALUE"),
        ("target.filter=l1", 'unknown filter "l1"'),
        ("data.crops=96", 'unknown setting "crops" in .data.'),
        ("date.crop=96", "unknown section .date."),
        ("data.crop=many", "to be a whole number, got 'many'"),
    ],
)
def test_a_change_that_cannot_be_is_named(change, message):
    with pytest.raises(UsageError, match=message) as error:
        read_recipe("pnen-l0", [change])
    assert str(error.value).startswith(f"--set {change}: ")


def test_the_loss_of_ceilnet_is_for_ceilnet():
    with pytest.raises(UsageError, match='expected a CEILNet for loss = "ceilnet" in .optimiser., got network resnet'):
        build_network(read_recipe("resnet", ["optimiser.loss=ceilnet"]))
