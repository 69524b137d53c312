"""What is measured of a bundled model, each by a network of which one knows what it does."""

import numpy as np
import pytest
from model_zoo import flat, scores, tiles


class Stub:
    """An adjustable network of which one knows what it does: it takes away 100 times the strength, in levels."""

    class card:
        network = "stub"

    def __init__(self, strengths=(0.01, 0.02, 0.05)):
        self.ends, self.default, self.backend = strengths, strengths[len(strengths) // 2], self
        self.asked, self.task, self.shave = [], {"filter": "stub"}, 0

    def smooth(self, strength, tile, step):
        self.asked.append(strength)
        return lambda image: np.clip(image.astype(int) - round(100 * strength), 0, 255).astype(np.uint8)

    def pairs(self, images, strength, name=""):
        return [(image, image) for image in images]

    def maker(self, strength):
        return self

    def target(self, image):
        return image


@pytest.fixture
def best():
    return tiles.TileScore(64, 48, None)


def test_strengths_are_scored_each_and_their_mean_given(best, photo):
    found = scores.at_strengths(Stub(), best, [photo("coffee")], [0.01, 0.05], "few")
    levels = [row["network"]["psnr"] for row in found["rows"]]
    assert levels == pytest.approx([20 * np.log10(255), 20 * np.log10(51)], abs=0.2)  # 1 and 5 levels off, some clipped
    assert found["mean"]["network"]["psnr"] == pytest.approx(np.mean(levels)) and found["images"] == 1
    assert found["rows"][0]["nothing"]["psnr"] is None  # equal, which JSON has no number for


def test_flat_colours_are_looked_at_at_every_end(best, monkeypatch):
    monkeypatch.setattr(flat, "SEEDS", (1000,))
    rows = flat.flat_colours(Stub(), best)
    assert [(row["strength"], row["centre"], row["any"]) for row in rows] == [(0.01, 1, 1), (0.02, 2, 2), (0.05, 5, 5)]
    for row in rows:
        assert row["text"] == row["screen"] == row["any"]  # of colours that are not black


def test_a_colour_counts_where_it_is_flat_and_the_filter_leaves_it_alone():
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 20:40], picture[:, 40:] = 100, 200
    target, result = picture.copy(), picture.copy()
    result[5:20, 5:15] += 4  # a part of one colour
    assert flat.colour_change(picture, target, result) == pytest.approx(4 * 150 / (40 * 18))  # 2 pixels at the edge out
    target[:, :20] += 2  # now the filter changes it itself
    assert flat.colour_change(picture, target, result) == 0
    assert flat.colour_change(picture, picture + np.uint8(2), result) is None


def test_seams_are_looked_for_at_the_default_and_the_highest_strength(best, photo):
    class Leaning(Stub):
        """Above the default strength every tile has its own brightness."""

        def smooth(self, strength, tile, step):
            def run(image):
                steps = (np.arange(len(image)) // step % 2)[:, None, None] * (strength > 0.02)
                return (image // 2 + 8 * steps).astype(np.uint8)

            return run

    found = tiles.seams(Leaning(), best, [photo("coffee", 200, 240)])
    default, highest = found["rows"]
    assert (default["strength"], highest["strength"]) == (0.02, 0.05)
    for key in ("photographs", "sky", "gradient"):
        assert default[key] <= 0.5 < 4 < highest[key]


def test_the_border_is_compared_with_the_inside():
    target = np.zeros((40, 40, 3), np.uint8)
    result = np.full_like(target, 2)
    result[8:-8, 8:-8] = 1
    assert scores.border_to_inside(result, target) == pytest.approx(2)
    assert scores.border_to_inside(target, target) == 1


def test_noise_is_seeded_clipped_and_rounded():
    grey = np.full((64, 64, 3), 128, np.uint8)
    noisy = scores.with_noise(grey, 6, 1)
    assert noisy.dtype == np.uint8 and abs(float(noisy.std()) - 6) < 0.2
    np.testing.assert_array_equal(noisy, scores.with_noise(grey, 6, 1))
    assert scores.with_noise(np.zeros_like(grey), 12, 0).min() == 0 and (scores.with_noise(grey, 0, 5) == grey).all()
