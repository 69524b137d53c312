"""Training for every strength: targets, batches, loss, start weights and scores."""

import math

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from pnen_runtime.errors import UsageError
from pnen_train.checkpoint import load_checkpoint
from pnen_train.cli import main
from pnen_train.config import Optimiser
from pnen_train.data.batches import batch_of, on_device
from pnen_train.data.filters import filter_image
from pnen_train.data.tasks import at_each_strength, of_strength, resolve_target, task_of
from pnen_train.evaluation.evaluate import evaluate
from pnen_train.training.state import State, build_network
from pnen_train.training.step import Objective
from pnen_train.training.train import train

CPU = torch.device("cpu")
STRENGTHS = [0.002, 0.02, 0.2]
TARGET = {"filter": "l0", "strength": 0.02, "strengths": STRENGTHS}
NETWORK = {"grid": 2, "scales": [], "equivariant": True}


@pytest.fixture
def photographs(photo, tmp_path):
    from PIL import Image

    for name in ("coffee", "chelsea"):
        Image.fromarray(photo(name)).save(tmp_path / f"{name}.png")
    return sorted(tmp_path.glob("*.png"))


def test_targets_are_the_filter_at_each_strength(photographs, photo):
    pairs = task_of(TARGET).training(photographs, 16, None)
    for strength, of_one in at_each_strength(pairs, task_of(TARGET)).items():
        for (image, target), name in zip(of_one, ("chelsea", "coffee"), strict=True):
            np.testing.assert_array_equal(image, photo(name))
            np.testing.assert_array_equal(target, filter_image(image, "l0", {"strength": strength}))


@pytest.mark.parametrize("step", range(6))
def test_each_pixel_has_the_target_of_the_strength_that_its_map_says(step):
    targets = np.stack([np.full((40, 32, 3), 10 * (i + 1), np.uint8) for i in range(3)])
    images = on_device([(np.zeros((40, 32, 3), np.uint8), targets)], CPU)
    inputs, wanted, maps = batch_of(images, 16, 4, 0, step, strengths=STRENGTHS)
    assert inputs.shape == wanted.shape == (4, 3, 16, 16) and maps.shape == (4, 1, 16, 16)
    levels = torch.tensor([10.0, 20, 30])[torch.bucketize(maps.contiguous(), torch.tensor(STRENGTHS))]
    torch.testing.assert_close(wanted * 255, levels.expand(-1, 3, -1, -1))


def test_all_strengths_and_maps_of_two_are_drawn():
    targets = np.zeros((3, 20, 20, 3), np.uint8)
    images = on_device([(np.zeros((20, 20, 3), np.uint8), targets)], CPU)
    maps = torch.cat([batch_of(images, 16, 8, 0, step, strengths=STRENGTHS)[2] for step in range(20)])
    assert sorted(maps.unique().tolist()) == pytest.approx(STRENGTHS)
    mixed = (maps.amax((1, 2, 3)) > maps.amin((1, 2, 3))).float().mean()
    assert 0.15 < mixed < 0.6  # half are drawn with a line, and a third of those have one strength on both sides


def test_shares_of_several_processes_make_the_whole_batch():
    random = np.random.default_rng(0)
    pairs = [(random.integers(0, 256, (30, 30, 3), np.uint8), random.integers(0, 256, (3, 30, 30, 3), np.uint8))]
    images = on_device(pairs, CPU)
    whole = batch_of(images, 16, 4, 1, 2, strengths=STRENGTHS)
    shares = [batch_of(images, 16, 4, 1, 2, strengths=STRENGTHS, rank=rank, processes=2) for rank in range(2)]
    for part, (first, second) in zip(whole, zip(*shares, strict=True), strict=True):
        torch.testing.assert_close(part[0::2], first)
        torch.testing.assert_close(part[1::2], second)


def test_errors_weigh_less_where_the_strength_is_higher():
    class Still(torch.nn.Module):
        def forward(self, image, strength):
            return (image,)

    target, power = torch.full((1, 3, 4, 4), 0.1), 0.8
    objective = Objective(Still(), Optimiser(strength_power=power), False, usual=0.02)
    for strength in STRENGTHS:
        loss, error = objective(torch.zeros(1, 3, 4, 4), target, torch.full((1, 1, 4, 4), strength))
        assert float(error) == pytest.approx(0.01) and float(loss) == pytest.approx(0.01 * (0.02 / strength) ** power)
    soft = Objective(Still(), Optimiser(strength_power=1.0), False, usual=25, soft=5)  # of σ, which may be 0
    assert float(soft(torch.zeros(1, 3, 4, 4), target, torch.zeros(1, 1, 4, 4))[0]) == pytest.approx(0.06)


@pytest.mark.parametrize("strengths", [[0.02], [0.2, 0.02], [0.02, 0.02], [0, 0.2], "all", [0.1, 0.2], [0.002, "x"]])
def test_strengths_that_cannot_be_are_refused(strengths):
    with pytest.raises(UsageError, match="strength"):
        resolve_target(TARGET | {"strengths": strengths})


def test_ready_targets_are_of_one_strength(tmp_path):
    with pytest.raises(UsageError, match="ready targets"):
        task_of(TARGET, tmp_path)


def test_the_network_takes_the_range_of_the_targets_and_wmf_has_its_own(tiny):
    assert build_network(tiny(network=NETWORK, target=TARGET)).config.strengths == (0.002, 0.2)
    sigma = resolve_target({"filter": "wmf", "sigma": 50, "strengths": [10, 50, 90]})
    assert of_strength(sigma, 90)["sigma"] == 90 and "strengths" not in of_strength(sigma)


def test_a_run_learns_scores_at_several_strengths_and_starts_another_of_one(tiny, photographs, tmp_path):
    recipe = tiny(network=NETWORK, target=TARGET, optimiser={"strength_power": 0.8})
    pairs = task_of(TARGET).training(photographs, 16, None)
    last = train(recipe, pairs, pairs, tmp_path / "run", device="cpu")
    assert last.config["strengths"] == [0.002, 0.2] and math.isfinite(last.training["validation"]["psnr"])
    one = tiny(network=NETWORK, target={"filter": "wmf"}, optimiser={"start": str(tmp_path / "run" / "last.pt")})
    state = State.fresh(one, pairs, CPU)
    model, image = load_checkpoint(tmp_path / "run" / "last.pt").model(), torch.rand(1, 3, 20, 20)
    with torch.no_grad():
        expected = model(image, torch.full((1, 1, 20, 20), 0.02))
        torch.testing.assert_close(state.model.eval()(image)[-1], expected[-1], atol=1e-5, rtol=0)


def test_the_command_says_what_doing_nothing_scores_on_average_over_the_strengths(recipe_file, images, tmp_path):
    recipe = recipe_file(network=NETWORK, target=TARGET, optimiser={"strength_power": 0.8, "steps": 1})
    result = CliRunner().invoke(main, ["run", str(recipe), str(images), "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    pairs = task_of(TARGET).scored([images / "rocket.png"], 16, None)
    scores = [evaluate(lambda image: image, apart) for apart in at_each_strength(pairs, task_of(TARGET)).values()]
    assert f"doing nothing: PSNR {np.mean([s.psnr for s in scores]):.2f} dB, SSIM " in result.stderr
