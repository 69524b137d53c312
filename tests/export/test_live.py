"""The count of feature maps held at once, by hand and against the networks."""

import torch

from pnen_export.live import Watch, live_maps


def test_counts_what_is_alive_at_once_and_views_only_once():
    with Watch() as watch:
        first = torch.zeros(100)
        second = first + 1
        del first
        third = torch.cat((second, second))
        view = third[10:].reshape(10, 19)
        del second, third
        kept = view[0] + 1
        del view
    assert watch.most == 4 * (100 + 200)
    assert watch.now == 4 * kept.numel()


def test_pnen_holds_the_13_maps_that_were_measured_for_it(network):
    assert live_maps(network()) == 13


def test_maps_are_counted_by_places_on_the_grid(network):
    """On a grid of 4 the picture and its strengths are 4·16 numbers a place, beside 8 channels of features."""
    assert live_maps(network("adjustable", channels=32)) == 13
    at_pixels, at_places = (live_maps(network("adjustable", scales=[], grid=grid)) for grid in (1, 4))
    assert at_pixels == 13 and 2 * 4 * 16 / 8 < at_places < 8 * 4 * 16 / 8


def test_rdn_keeps_the_features_of_all_its_blocks_until_they_are_fused(network):
    maps = [live_maps(network("rdn", blocks=blocks)) for blocks in (10, 20, 30)]
    assert maps[2] - maps[1] == maps[1] - maps[0] == 25  # one for each block, and one for each in the concatenation
