"""The comparison of training steps, on a tiny network."""

import json
from dataclasses import asdict, replace
from itertools import pairwise

import pytest
import torch
from bench import training
from bench.network import attend_naively
from bench.training import VARIANTS, Training, Variant, read_variants, step_flops
from bench.training_report import Row, markdown, write_plot
from PIL import Image

from pnen_train.config import read_recipe
from pnen_train.models import pnb

RECIPE = """
[network]
name = "pnen"
channels = 4
stages = 1
dilations = [1]
scales = [2]
key_channels = 2
value_channels = 3
[data]
crop = 20
batch = 2
"""
SEVERAL = list(dict.fromkeys(replace(variant, compile=False) for kind in VARIANTS.values() for variant in kind))


@pytest.fixture
def recipe(tmp_path):
    """The path of a recipe for a network of a few hundred weights."""
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture
def losses(recipe):
    """losses(variant) → the loss after two steps and after six, of a run in this process."""
    begun = []

    def train(variant: Variant) -> list[float]:
        job = {"recipe": recipe, "changes": ["optimiser.learning_rate=0.01"], "device": "cpu", "threads": 1}
        begun.append(Training(json.loads(json.dumps(job | {"variant": asdict(variant)}))))
        begun[-1].load()
        found = [begun[-1].steps(1)["loss"], begun[-1].steps(4)["loss"]]
        begun[-1].patches.close()
        return found

    yield train
    for run in begun:
        run.patches.close()
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


def test_all_variants_train_alike(losses):
    naive = losses(VARIANTS["cpu"][0])
    assert naive[0] != pytest.approx(naive[1], rel=1e-3)
    for variant in SEVERAL:
        assert losses(variant) == pytest.approx(naive, rel=1e-2 if variant.precision != "fp32" else 1e-4), variant.key


def test_a_measure_changes_what_it_says(losses, monkeypatch):
    seen, kept, step = [], [], training.train_step

    def watched(state, images, objective):
        result = step(state, images, objective)
        weight = next(weight for weight in state.model.parameters() if weight.ndim == 4 and min(weight.shape) > 1)
        fused = bool(state.optimiser.param_groups[0]["fused"])
        seen.append((pnb.attend is attend_naively, weight.is_contiguous(), fused))
        return result

    monkeypatch.setattr(training, "keep_memory", lambda: kept.append(True) or True)
    monkeypatch.setattr(training, "train_step", watched)
    for variant in VARIANTS["cpu"][:5]:
        losses(variant)
    assert seen[::6] == [(True, True, False), (False, True, False), *[(False, False, False)] * 2, (False, False, True)]
    assert len(kept) == 2


def test_flops_of_a_step_are_those_counted_by_hand(recipe):
    pixels, reference = 20 * 20, 10 * 10
    entry = pixels * 9 * 3 * 4
    convolutions = entry + pixels * 2 * 9 * 4 * 4  # and one dilated residual block
    convolutions += pixels * (4 * 2 + 3 * 4) + reference * 9 * (4 * 2 + 4 * 3)  # query, merge; keys, values
    convolutions += pixels * 9 * (4 * 4 + 4 * 4 + 4 * 3)  # exit
    attention = pixels * reference * (2 + 3)  # scores, weighted values
    # backward: for the weights and for what came in, but images need no gradient
    assert step_flops(read_recipe(recipe)) == 2 * 2 * (3 * (convolutions + attention) - entry)


def test_variants_are_cumulative_and_the_naive_one_is_always_there():
    for kind, variants in VARIANTS.items():
        taken = [{name for name, value in asdict(variant).items() if value is True} for variant in variants]
        assert all(before <= after for before, after in pairwise(taken)), kind
        assert len({variant.key for variant in variants}) == len(variants)
        assert [variant.key for variant in read_variants("compile", kind)] == ["naive", "compile"]


def test_rates_shares_and_ratios_follow_from_the_times(tmp_path):
    rows = [Row("naive", "fp32", 1.0, False, [3.0, 4.0, 9.0], [8.0] * 3), Row("+ b", "bf16", 1.0, False, [2.0], [5.0])]
    page = markdown({}, rows, int(8e9), {"fp32": 4e9, "bf16": 5e9}, {"bf16"})
    naive, other = ([cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines()[4:6])
    assert naive[:9] == ["naive", "4.000", "3.000 to 9.000", "8.000", "0.12", "8.0", "2.0", "50% of FP32", "1.00x"]
    assert other[6:9] == ["4.0", "80% of BF16, emulated", "2.00x"]
    write_plot(tmp_path / "x.png", "title", rows)
    with Image.open(tmp_path / "x.png") as drawn:
        assert len(drawn.convert("RGB").getcolors(2**20)) > 20


@pytest.mark.slow
def test_the_command_prints_a_row_for_each_variant(call, recipe):
    result = call(
        "bench_training", recipe, "--only", "optimiser", "--rounds", 2, "--steps", 1, "--crop", 16, "--device", "cpu"
    )
    assert result.exit_code == 0, result.output
    rows = [line.split(" | ") for line in result.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 3 and len({len(row) for row in rows}) == 1
    assert "batches of 2 crops of 16x16" in result.stdout and "FP32 " in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--only", "magic"], 2, "expected variants out of"),
        (["nothing"], 2, 'no recipe "nothing"'),
        (["--plot", "nowhere/x.png"], 2, "no folder"),
    ],
)
def test_wrong_words_are_one_line(call, arguments, code, message):
    result = call("bench_training", *arguments)
    assert result.exit_code == code and message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
