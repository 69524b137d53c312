"""The inputs of the comparison."""

import numpy as np
import pytest

from pnen_export.inputs import KINDS, make_batch, make_inputs, photograph, photograph_tiles


@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_comes_at_every_size_of_the_contract(channels):
    inputs = make_inputs(channels, 96)
    sizes = ["1x16x16", "1x37x53", "1x96x96", "2x61x90"]
    assert [(given.kind, given.size) for given in inputs[:-1]] == [(kind, size) for size in sizes for kind in KINDS]
    for given in inputs[:-1]:
        (batch,) = given.batches
        count, height, width = (int(part) for part in given.size.split("x"))
        assert (batch.shape, batch.dtype) == ((count, channels, height, width), np.float32)
        assert batch.min() >= 0 and batch.max() <= 1


@pytest.mark.parametrize(("tile", "count"), [(96, 24), (64, 48), (481, 1)])
def test_tiles_cover_the_whole_photograph(tile, count):
    tiles = photograph_tiles(3, tile)
    assert photograph().shape == (321, 481, 3)
    assert len(tiles) == count
    seen = {
        pixel for part in tiles for pixel in np.rint(part[0] * 255).reshape(3, -1).astype(int).T.dot([65536, 256, 1])
    }
    assert seen == set(photograph().reshape(-1, 3).astype(int).dot([65536, 256, 1]))


def test_the_pictures_of_a_batch_differ():
    first, second = make_batch("photograph", 2, 61, 90, 3)
    assert np.abs(first - second).max() > 0.1


def test_an_impulse_is_one_bright_pixel():
    assert make_batch("impulse", 1, 37, 53, 1).sum() == 1


def test_inputs_are_the_same_every_time():
    for first, second in zip(make_inputs(3, 96), make_inputs(3, 96), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(first.batches, second.batches, strict=True))
