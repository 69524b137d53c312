"""The shift test sees what tiles do to a picture, and nothing where they do nothing."""

import numpy as np
import pytest
from skimage.filters import gaussian

from pnen_runtime.tiles import smooth_tiled
from pnen_train.evaluation.seams import seam


def tiled(network, tile, step):
    return lambda image: smooth_tiled(network, image, tile, step)


def leans_on_its_tile(batch):
    """As a block may: every tile is moved towards its own mean."""
    return batch + 0.1 * (batch.mean((2, 3), keepdims=True) - batch)


@pytest.fixture(scope="module")
def sky():
    return np.repeat(np.linspace(40, 200, 400).astype(np.uint8)[:, None, None], 300, 1).repeat(3, 2)


def test_a_local_network_leaves_no_seam(sky):
    def local(batch):
        return np.stack([gaussian(picture, 2, channel_axis=0) for picture in batch]).astype(np.float32)

    assert seam(tiled(local, 128, 96), sky, 128, 96) <= 0.1  # uint8 results, so a mean may differ by rounding


def test_a_network_that_leans_on_its_tile_is_found_out(sky):
    assert seam(tiled(leans_on_its_tile, 128, 96), sky, 128, 96) > 1


def test_a_picture_within_one_tile_has_no_seam(sky):
    assert seam(tiled(leans_on_its_tile, 512, 448), sky, 512, 448) == 0


def test_even_blocks_alone_tell_of_a_sky(sky):
    towers = sky.copy()
    towers[:, 200:] += np.random.default_rng(0).integers(0, 50, (400, 100, 3), np.uint8)

    def at_towers(image):  # their every second row of tiles is brighter
        smooth, rows = image // 2, np.arange(len(image)) // 96 % 2
        smooth[:, -100:] += 8 * rows[:, None, None].astype(np.uint8)
        return smooth

    assert seam(at_towers, towers, 128, 96) > 1
    assert seam(at_towers, towers, 128, 96, even=True) <= 0.5


def test_floats_are_measured_in_levels_as_well(sky):
    wanted, floats = seam(tiled(leans_on_its_tile, 128, 96), sky, 128, 96), (sky / 255).astype(np.float32)
    assert seam(tiled(leans_on_its_tile, 128, 96), floats, 128, 96) == pytest.approx(wanted, abs=0.6)
    assert seam(tiled(leans_on_its_tile, 128, 96), floats, 128, 96, even=True) > 0.5
