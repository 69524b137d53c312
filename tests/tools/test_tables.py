"""The paper's tables, end to end with tiny networks."""

import csv
import io
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pnen_train.checkpoint import load_checkpoint, save_checkpoint
from pnen_train.cli import main as pnen_train
from pnen_train.data.filters import filter_image
from pnen_train.evaluation import evaluate as evaluation
from pnen_train.evaluation.evaluate import evaluate, network_smoother


def scores(checkpoint, folder, *tile):
    """What `evaluate` says, with targets made here, as the tables write it."""
    images = [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]
    task = dict(load_checkpoint(checkpoint).training["task"])
    name = task.pop("filter")
    pairs = [(image, filter_image(image, name, task)) for image in images]
    found = evaluate(network_smoother(load_checkpoint(checkpoint).model(), *tile), pairs)
    idle = evaluate(lambda image: image, pairs)
    return [f"{s.psnr:.2f} / {s.ssim:.4f} / {s.ssim_box7:.4f}" for s in (found, idle)]


def test_table1_puts_every_network_in_its_row_with_evaluates_scores(trained, pictures, call, row_of, small):
    pnen = trained("mine", **small, scales=[2, 4, 8])
    resnet = trained("plain", "resnet", channels=8, blocks=1, tail_channels=8)
    median = trained("median", **small, scales=[2, 4, 8], task={"filter": "wmf"})
    result = call("table1", pnen, resnet, median, "--on", pictures)
    assert result.exit_code == 0, result.output
    ours, idle = scores(pnen / "last.pt", pictures, 96, 40, "uniform")
    assert row_of(result.output, "doing nothing")[4] == idle
    found = row_of(result.output, "PNEN, channels 8, stages 2, dilations 1")
    assert found[4:6] == [ours, "*33.44 / 0.9741*"]
    assert found[2:4] == [scores(median / "last.pt", pictures, 96, 40, "uniform")[0], "*39.45 / 0.9846*"]
    whole, _ = scores(resnet / "last.pt", pictures, "whole")
    assert row_of(result.output, "ResNet, channels 8, blocks 1, tail channels 8")[4:6] == [whole, "*32.30 / 0.9671*"]
    assert row_of(result.output, "DJF (not trained)")[4:6] == ["–", "*30.20 / 0.9458*"]
    assert "BSDS500/val (2 images): BSDS500 stand-in" in result.output
    budget = row_of(result.output, "mine")
    assert budget[1:] == ["L0", "6", "12", "16", "12", "cpu", "–", "3", "0", "tiles 96/40", budget[-1]]
    assert row_of(result.output, "plain")[-2] == "whole"


@pytest.mark.parametrize(
    ("scales", "preset_settings", "row", "published"),
    [
        ([], {}, "w/o non-local", "*31.95 / 0.9665*"),
        ([2], {}, "scale 2", "*32.57 / 0.9706*"),
        ([4], {}, "scale 4", "*33.17 / 0.9708*"),
        ([8], {}, "scale 8", "*32.87 / 0.9707*"),
        ([2, 4], {}, "scales 2+4", "*33.21 / 0.9720*"),
        ([2, 4, 8], {}, "scales 2+4+8", "*33.44 / 0.9741*"),
        ([1], {}, "Wang's block", "*32.40 / –*"),
    ],
)
def test_table2_knows_every_ablation_by_its_scales(
    scales, preset_settings, row, published, trained, pictures, call, row_of, small
):
    run = trained("one", **small, scales=scales)
    result = call("table2", run, "--on", pictures, "--images", 1, "--tile", "whole")
    found = row_of(result.output, f"{row}, channels 8, stages 2, dilations 1")
    assert found[3] == published and found[2] != "–"
    assert result.output.count("(not trained)") == 6


def test_seeds_share_a_row_and_budgets_do_not(trained, pictures, call, row_of, small):
    runs = [trained(f"seed{seed}", **small, scales=[4], seed=seed) for seed in (1, 2)]
    longer = trained("longer", **small, scales=[4], steps=12)
    result = call("table2", *runs, longer, runs[0], "--on", pictures, "--csv")
    measured = {line["run"]: float(line["psnr"]) for line in csv.DictReader(io.StringIO(result.output)) if line["run"]}
    assert list(measured) == ["seed1", "seed2", "longer"], "a run that is named twice counts once"
    result = call("table2", *runs, longer, "--on", pictures)
    label = "scale 4, channels 8, stages 2, dilations 1"
    mean, deviation = np.mean([measured["seed1"], measured["seed2"]]), np.std([measured["seed1"], measured["seed2"]])
    assert row_of(result.output, f"{label}, 6 steps")[2].startswith(f"{mean:.2f} ± {deviation:.2f} / ")
    assert row_of(result.output, f"{label}, 12 steps")[2].startswith(f"{measured['longer']:.2f} / ")


ALIKE = {"network": {}, "recipe": {"optimiser": {"learning_rate": 1e-3}}, "record": {"images": 400}}


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"network": {"init": "he"}}, ("init identity", "init he")),
        ({"recipe": {"optimiser": {"learning_rate": 5e-4}}}, ("learning rate 0.001", "learning rate 0.0005")),
        ({"recipe": {"optimiser": {"loss": "l1"}}}, ("loss mse", "loss l1")),
        ({"recipe": {"optimiser": {"start": "l0"}}}, ("start –", "start l0")),
        ({"recipe": {"data": {"batch": 4}}}, ("batch 8", "batch 4")),
        ({"record": {"precision": "bf16"}}, ("precision –", "precision bf16")),
        ({"record": {"images": 4}}, ("images 400", "images 4")),
        ({"record": {"pictures": "0badcafe" * 8}}, ("pictures –", "pictures 0badcafe")),
        ({"recipe": {"optimiser": {"steps": 12}}}, ("steps planned 400000", "steps planned 12")),
    ],
)
def test_runs_that_differ_in_more_than_the_seed_have_rows_of_their_own_that_say_in_what(
    other, told, trained, pictures, call, row_of, small
):
    for seed in (1, 2, 3):
        settings = {key: {**ALIKE[key], **other.get(key, {})} if seed == 3 else ALIKE[key] for key in ALIKE}
        settings["recipe"] = {"optimiser": {}, "data": {}} | settings["recipe"] | {"run": {"seed": seed}}
        settings["recipe"]["optimiser"] = ALIKE["recipe"]["optimiser"] | settings["recipe"]["optimiser"]
        run = trained(f"run{seed}", **small, scales=[4], seed=0 if seed == 3 else seed, **settings["network"])
        checkpoint = load_checkpoint(run / "last.pt")
        checkpoint.training |= {"recipe": settings["recipe"], **settings["record"]}
        save_checkpoint(run / "last.pt", checkpoint)
    runs = [pictures.parents[1] / "runs" / f"run{seed}" for seed in (1, 2, 3)]
    result = call("table2", *runs, "--on", pictures, "--images", 1, "--tile", "whole")
    assert result.exit_code == 0, result.output
    rows = [row_of(result.output, f"scale 4, channels 8, stages 2, dilations 1, {words}") for words in told]
    assert ["±" in row[2] for row in rows] == [True, False]
    assert row_of(result.output, "run3")[0].endswith(told[1])


def test_a_second_call_measures_nothing_and_other_weights_images_or_tiles_do(
    trained, pictures, call, small, monkeypatch
):
    run = trained("mine", **small, scales=[4])
    first = call("table2", run, "--on", pictures)
    calls = []
    import paper.scores as kept

    monkeypatch.setattr(kept, "evaluate", lambda *a, **k: calls.append(1) or evaluation.evaluate(*a, **k))
    assert call("table2", run, "--on", pictures).output == first.output
    assert call("table1", run, "--on", pictures).exit_code == 0 and not calls, "another table may share them"
    call("table2", run, "--on", pictures, "--tile", "whole")
    assert len(calls) == 1
    kept._idle.clear()
    call("table2", run, "--on", pictures, "--images", 1)
    assert len(calls) == 3, "the network and its input"
    weights = load_checkpoint(run / "last.pt")
    weights.weights["entry.bias"] = weights.weights["entry.bias"] + 0.01
    save_checkpoint(run / "last.pt", weights)
    assert call("table2", run, "--on", pictures).output != first.output and len(calls) == 5
    record = json.loads((run / "last.scores.json").read_text())
    assert len(record) == 4


def test_runs_of_one_column_must_have_learnt_the_same_filter(trained, pictures, call, small):
    runs = [trained(f"l0-{strength}", **small, task={"filter": "l0", "strength": strength}) for strength in (0.02, 0.1)]
    result = call("table1", *runs, "--on", pictures)
    assert result.exit_code == 2 and "the same settings of filter L0" in result.output


def test_a_real_run_carries_all_that_a_row_says(pictures, tmp_path, call, row_of, small):
    recipe = tmp_path / "tiny.toml"
    network = "\n".join(f"{key} = {value}" for key, value in small.items())
    recipe.write_text(f'[network]\nname = "pnen"\n{network}\nscales = [8]\n[data]\ncrop = 16\nbatch = 2\n'
                      "[optimiser]\nsteps = 3\n[run]\nseed = 5\n")  # fmt: skip
    out = tmp_path / "runs" / "tiny"
    done = CliRunner().invoke(pnen_train, ["run", str(recipe), str(pictures), "--out", str(out), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    result = call("table2", out, "--on", pictures)
    found = row_of(result.output, "tiny")
    assert found[1:5] == ["L0", "3", "6", "16"] and found[7] == "fp32" and found[9] == "5"
    assert float(found[5].replace(",", "")) >= 0
    best = call("table2", out / "best.pt", "--on", pictures)
    assert row_of(best.output, "tiny")[1:6] == found[1:6], "without the resumable state the seconds are in the metrics"


def test_a_folder_that_is_no_run_is_one_line(tmp_path, pictures, call):
    result = call("table1", tmp_path, "--on", pictures)
    assert result.exit_code == 1 and "expected a run folder with last.pt" in result.output


GREY = {"noise": 25}
RDN = {"image_channels": 1, "channels": 4, "dense_layers": 1, "blocks": 2}


def test_table4_scores_every_set_as_evaluate_does(trained, grey, call, row_of):
    plain, deeper = (
        trained("rdn", "rdn", task=GREY, **RDN),
        trained("rdn-deeper", "rdn", task=GREY, **RDN | {"blocks": 3}),
    )
    blocks = trained("rdn-pnb", "rdn", task=GREY, **RDN, scales=[2, 4, 8], before=[1])
    result = call("table4", plain, deeper, blocks, "--on", grey)
    assert result.exit_code == 0, result.output
    told = evaluated(plain, grey, "whole")
    assert row_of(result.output, "doing nothing (noisy)")[2] == told["doing nothing (noisy)"]
    label = "channels 4, dense layers 1, blocks"
    assert row_of(result.output, f"RDN, {label} 2")[2:] == [told["rdn, tile whole"], "*30.60 / 0.8651*"]
    assert row_of(result.output, f"RDN, deeper, {label} 3")[3] == "*30.62 / 0.8662*"
    found = row_of(result.output, f"RDN w/ PNB, {label} 2, before 1")
    told = evaluated(blocks, grey, 96, "--tile-step", 40, "--blend", "uniform")
    assert found[2:] == [told["rdn, tile 96"], "*30.72 / 0.8689*"]


MEMNET = {"image_channels": 1, "channels": 4, "blocks": 2, "recursions": 1}


def test_table5_scores_the_luma_of_pictures_enlarged_by_3(trained, pictures, call, row_of):
    plain = trained("memnet", "memnet", task={"scale": 3}, **MEMNET)
    deeper = trained("other", "memnet", task={"scale": 3}, **MEMNET, deeper=True)
    result = call("table5", plain, deeper, "--on", pictures)
    assert result.exit_code == 0, result.output
    told = evaluated(plain, pictures, "whole")
    assert row_of(result.output, "doing nothing (bicubic)")[2] == told["doing nothing (bicubic)"]
    found = row_of(result.output, "MemNet, channels 4, blocks 2, recursions 1")
    assert found[2:] == [told["memnet, tile whole"], "*28.96 / 0.8001*"], "BSDS500/val is BSD100"
    assert row_of(result.output, "MemNet, deeper, channels 4, blocks 2, recursions 1")[3] == "*28.97 / 0.8008*"


@pytest.mark.parametrize("task", [{"noise": 15}, {"scale": 3}, {}, {"filter": "l0"}])
def test_a_network_that_learnt_something_else_has_no_place_in_table4(task, trained, grey, call):
    run = trained("rdn", "rdn", task=task, **RDN)
    result = call("table4", run, "--on", grey)
    assert result.exit_code == 2 and "expected a network that learnt noise = 25 for Table 4" in result.output


def evaluated(run, folder, tile, *words):
    """What `pnen-train evaluate` says of it, as the tables write it."""
    words = ["evaluate", run / "last.pt", folder, "--tile", tile, *words, "--json", "--device", "cpu"]
    result = CliRunner().invoke(pnen_train, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    return {name: f"{s['psnr']:.2f} / {s['ssim']:.4f} / {s['ssim_box7']:.4f}" for name, s in told.items()}
