"""Recipes are read strictly."""

import json
from dataclasses import asdict

import pytest

from pnen_runtime.errors import UsageError
from pnen_train.config import RECIPES, Data, Optimiser, Recipe, Run, override, read_recipe, recipe_from
from pnen_train.training.state import build_network

NETWORK = '[network]\nname = "pnen"\n'


def test_the_papers_recipe_is_the_papers_protocol():
    recipe = read_recipe("pnen-l0")
    assert recipe.data == Data(crop=96, batch=8)
    assert recipe.optimiser == Optimiser(
        steps=400_000, method="adam", learning_rate=5e-4, schedule="plateau", minimum_rate=1e-4, warmup_steps=0,
        epoch_steps=1000, patience=5, weight_decay=0, clip_norm=0, clip_step=0, loss="mse", deep_supervision=True,
        mean_of_exits=False,
    )  # fmt: skip
    assert recipe.target == {"filter": "l0", "strength": 0.02, "kappa": 2.0}
    assert sum(p.numel() for p in build_network(recipe).parameters()) == 1_877_068


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_every_bundled_recipe_says_its_command(name):
    assert f"pnen-train run {name} IMAGES --validation OTHER_IMAGES" in (RECIPES / f"{name}.toml").read_text()


def test_a_file_reads_as_it_stands_and_defaults_fill_the_rest(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(NETWORK + "channels = 8\n[target]\nstrength = 1\n[run]\nseed = 3\n[optimiser]\nlearning_rate = 1\n")
    recipe = read_recipe(path)
    assert recipe.network == {"name": "pnen", "channels": 8}
    assert recipe.target == {"filter": "l0", "strength": 1, "kappa": 2}
    assert recipe.run == Run(seed=3)
    assert recipe.optimiser == Optimiser(learning_rate=1)


def test_a_recipe_comes_back_from_its_own_record():
    for target in ({"filter": "wmf", "radius": 3}, {"noise": 25}, {"scale": 3}):
        recipe = recipe_from({"network": {"name": "pnen"}, "target": target, "run": {"tile": "whole"}})
        assert recipe_from(asdict(recipe)) == recipe


def test_steps_and_seed_are_overridden_and_nothing_else():
    recipe = Recipe({"name": "pnen"})
    assert override(recipe) == recipe
    changed = override(recipe, steps=7, seed=5)
    assert (changed.optimiser.steps, changed.run.seed) == (7, 5)
    assert override(changed, steps=400_000, seed=0) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[netwrok]", r"unknown section \[netwrok\]; there are network, target, data, optimiser, run"),
        ("network = 3", r"expected a section \[network\], got 3"),
        ("[data]", "expected a section .network. with a name"),
        ("[network]\nname = 3", "with a name"),
        (NETWORK + "image_channels = 1", r"expected image_channels in \[network\] of 3, as the RGB.*, got 1"),
        (NETWORK + "image_channels = 3\n[target]\nnoise = 25", r"in \[network\] of 1, as the grey.*, got 3"),
        (NETWORK + "[data]\ncrops = 96", r'unknown setting "crops" in \[data\]; there are images, crop, batch'),
        (NETWORK + "[data]\ncrop = 96.0", r"expected crop in \[data\] to be a whole number, got 96.0"),
        (NETWORK + "[data]\ncrop = 8", r"expected crop in \[data\] to be at least 16, got 8"),
        (NETWORK + "[data]\nbatch = true", "to be a whole number, got True"),
        (NETWORK + "[data]\nbatch = -1", "to be at least 1, got -1"),
        (NETWORK + "[optimiser]\nsteps = 0", "to be at least 1, got 0"),
        (NETWORK + "[optimiser]\nlearning_rate = -1e-3", "to be above 0, got -0.001"),
        (NETWORK + "[optimiser]\nlearning_rate = nan", "to be above 0, got nan"),
        (NETWORK + "[optimiser]\nlearning_rate = inf", "to be above 0, got inf"),
        (NETWORK + "[optimiser]\nlearning_rate = true", "to be a number, got True"),
        (NETWORK + "[optimiser]\nminimum_rate = -1", "got -1"),
        (NETWORK + "[optimiser]\ndeep_supervision = 1", "to be true or false, got 1"),
        (NETWORK + '[optimiser]\nschedule = "steps"', "to be one of plateau, cosine, step, got 'steps'"),
        (NETWORK + '[run]\nprecision = "fp16"', "to be one of fp32, bf16, auto, got 'fp16'"),
        (NETWORK + "[run]\nseed = -1", "to be at least 0, got -1"),
        (NETWORK + "[run]\ntile = 64", "expected tile_step in .run. of at most tile = 64, got 80"),
        (NETWORK + '[target]\nfilter = "l1"', 'unknown filter "l1"'),
        (NETWORK + "[target]\nfilter = [1]", "to be a text"),
        (NETWORK + "[target]\nstrengt = 1", 'unknown setting "strengt" of filter l0'),
        (
            NETWORK + '[target]\nfilter = "l0"\nnoise = 25',
            r"expected one of filter, function, .* in .*, got filter and noise",
        ),
        (NETWORK + "[target]\nnoise = 25\nkappa = 2", 'unknown setting "kappa" in .target. beside noise'),
        (NETWORK + "[target]\nnoise = 0", r"noise in \[target\] to be a number above 0, to 255, got 0"),
        (NETWORK + "[target]\nnoise = nan", "to be a number above 0, to 255, got nan"),
        (NETWORK + "[target]\nscale = 2.0", r"scale in \[target\] to be a whole number from 2 to 8, got 2.0"),
        (NETWORK + "[target]\nscale = true", "a whole number from 2 to 8, got True"),
        (NETWORK + '[run]\ntile = "half"', "expected tile in .run. to be a whole number, got 'half'"),
        (NETWORK + "[optimiser]\nclip_norm = -1", "got -1"),
        ("extends = 3\n" + NETWORK, "expected extends to be the name of a recipe, got 3"),
        ('extends = "pnen-l1"\n' + NETWORK, 'no recipe "pnen-l1"'),
        ('extends = "wrong.toml"\n' + NETWORK, "extends itself by way of wrong.toml"),
        (NETWORK + "[target]\nstrength = -1", "expected a number from 0 for strength"),
        ("[network", "not valid TOML"),
        ("[data]\ncrop = 1\ncrop = 2", "not valid TOML"),
        (b"\xff\xfe", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_the_file(tmp_path, text, message):
    path = tmp_path / "wrong.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=message) as error:
        read_recipe(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_an_unknown_name_lists_the_recipes_there_are():
    with pytest.raises(UsageError, match=r"expected a TOML file or one of .*pnen-l0"):
        read_recipe("pnen-l1")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "../" * 2000 + "x"], ids=["long", "zero", "deep"])
def test_a_name_that_no_file_can_have_is_no_recipe(name, tmp_path):
    with pytest.raises(UsageError, match="no recipe"):
        read_recipe(name)
    path = tmp_path / "recipe.toml"
    path.write_text("extends = " + json.dumps(name) + '\n[network]\nname = "pnen"\n')
    with pytest.raises(UsageError, match="recipe.toml: extends no recipe"):
        read_recipe(path)
