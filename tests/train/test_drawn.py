"""Drawn and noisy pictures among those to train on."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pnen_train.cli import main
from pnen_train.data.drawn import KINDS, draw
from pnen_train.data.prepare import NOISE, reduced, with_noise


@pytest.mark.parametrize("kind", KINDS)
def test_a_drawn_picture_is_the_same_each_time_and_another_for_another_seed(kind):
    one, same, other = draw(kind, 64, 1), draw(kind, 64, 1), draw(kind, 64, 2)
    assert one.shape == (64, 64, 3) and one.dtype == np.uint8
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("kind", ["flat", "shapes", "lines", "text", "screen"])
def test_most_of_a_drawn_picture_is_flat(kind):
    shares = []
    for seed in range(8):
        picture = draw(kind, 96, seed).astype(int)
        shares.append(np.mean(np.abs(np.diff(picture, axis=1)).max(2) == 0))
    assert np.mean(shares) > 0.5


def test_noise_is_of_a_known_strength_and_seeded():
    grey = np.full((300, 300, 3), 128, np.uint8)
    found = [np.std(with_noise(grey, seed).astype(float)) for seed in range(12)]
    assert NOISE[0] - 0.3 < min(found) and max(found) < NOISE[1] + 0.3 and np.ptp(found) > 2
    np.testing.assert_array_equal(with_noise(grey, 3), with_noise(grey, 3))


def test_photographs_are_reduced_by_whole_factors():
    assert reduced(np.zeros((1024, 683, 3), np.uint8)).shape == (512, 342, 3)
    assert reduced(np.zeros((1024, 683, 3), np.uint8), 1).shape == (342, 228, 3)
    assert reduced(np.zeros((481, 321, 3), np.uint8)).shape == (481, 321, 3)
    assert reduced(np.zeros((330, 768, 3), np.uint8), 1).shape == (165, 384, 3)
    assert reduced(np.zeros((330, 768, 3), np.uint8), 2).shape == (165, 384, 3)  # a third would have 110 pixels a side
    assert reduced(np.zeros((60, 90, 3), np.uint8), 2).shape == (60, 90, 3)


def test_the_command_makes_a_folder_to_train_on(photo, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("coffee", "astronaut", "chelsea", "rocket"):
        Image.fromarray(photo(name)).save(tmp_path / "photos" / f"{name}.png")
    call = [str(tmp_path / "photos"), str(tmp_path / "out")]
    result = CliRunner().invoke(main, ["pictures", *call])
    assert result.exit_code == 0, result.output
    names = sorted(path.stem for path in (tmp_path / "out").iterdir())
    four = ["astronaut", "chelsea", "coffee", "rocket"]
    clean = sorted(four + [f"{name}_smaller1" for name in four])
    assert names == sorted([*clean, "astronaut_noisy", "rocket_noisy", "drawn_flat_0"])
    assert "written: 11 pictures" in result.output
    alone = CliRunner().invoke(main, ["pictures", call[0], str(tmp_path / "clean"), "--clean"])
    assert alone.exit_code == 0 and sorted(path.stem for path in (tmp_path / "clean").iterdir()) == clean
    one = CliRunner().invoke(main, ["pictures", call[0], str(tmp_path / "one"), "--clean", "--sizes", "1"])
    assert one.exit_code == 0 and sorted(path.stem for path in (tmp_path / "one").iterdir()) == four
    again = CliRunner().invoke(main, ["pictures", *call])
    assert again.exit_code == 2 and "expected a new folder" in again.output
    more = CliRunner().invoke(main, ["pictures", call[0], str(tmp_path / "more"), "--noisy", "1.5", "--drawn", "2"])
    found = sorted(path.stem for path in (tmp_path / "more").iterdir() if "smaller" not in path.stem)
    noisy = ["astronaut_noisy", "astronaut_noisy1", "chelsea_noisy", "coffee_noisy", "coffee_noisy1", "rocket_noisy"]
    assert [name for name in found if "noisy" in name] == noisy and more.exit_code == 0
    assert sum(name.startswith("drawn") for name in found) == 8
