"""The README's pictures show networks ahead of the classical ways; the command itself is run by hand."""

import re

import numpy as np
import pytest
from readme_pictures import PIECES, cleaned, enlarged
from skimage import data

from pnen_runtime import Smoother, Upscaler

PICTURE = np.ascontiguousarray(data.astronaut()[60:220, 160:320])


def decibels(row):
    found = {text.partition(":")[0]: re.search(r": ([\d.]+) dB", text) for text, _ in row}
    return {name: float(match[1]) for name, match in found.items() if match}


def test_the_denoiser_is_ahead_of_noise_and_of_non_local_means():
    with Smoother("denoise") as smoother:
        row = cleaned(smoother, PICTURE, 25, np.random.default_rng(0), np.s_[:80, :90])
    noisy, means, network = decibels(row).values()
    assert noisy < means < network
    assert [picture.shape for _, picture in row] == [(80, 90, 3)] * 4
    np.testing.assert_array_equal(row[-1][1], PICTURE[:80, :90])


@pytest.mark.parametrize("scale", [2, 3])
def test_enlargers_are_ahead_of_bicubic_interpolation(scale):
    with Upscaler(f"enlarge{scale}") as upscaler:
        row = enlarged(upscaler, PICTURE, np.s_[:80, :90])
    bicubic, network = decibels(row).values()
    assert bicubic < network and len(row) == 4 and row[0][0] == f"small, {scale} times"


def test_pieces_lie_within_their_photographs():
    for name, piece in PIECES.items():
        assert getattr(data, name)()[piece].shape == (200, 260, 3)
