"""Patches: cut from one place of input and target, flipped and turned alike, the same for the same seed and step."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pnen_train.data.batches import batch_of, on_device, to_tensor

CPU = torch.device("cpu")


def coded(height, width, image=0):
    """A picture whose colours say where each pixel is, and its target with other colours."""
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([y, x, np.full_like(y, image)], 2), np.stack([255 - y, 255 - x, np.full_like(y, 9 + image)], 2)


@given(height=st.integers(16, 40), width=st.integers(16, 40), seed=st.integers(0, 999), step=st.integers(0, 10**6))
@settings(max_examples=40)
def test_input_and_target_show_the_same_place_in_the_same_way(height, width, seed, step):
    pairs = [coded(height, width, 0), coded(width, height, 1)]
    inputs, targets = ((255 * part).round().long() for part in batch_of(on_device(pairs, CPU), 16, 3, seed, step))
    assert inputs.shape == targets.shape == (3, 3, 16, 16)
    torch.testing.assert_close(inputs[:, :2], 255 - targets[:, :2])
    torch.testing.assert_close(inputs[:, 2], targets[:, 2] - 9)
    for patch in inputs:
        y, x = patch[0], patch[1]
        assert y.max() - y.min() == x.max() - x.min() == 15  # a whole square of the picture


def test_every_place_and_all_eight_positions_occur():
    pairs, corners, positions = [coded(18, 18)], set(), set()
    for step in range(200):
        for patch in (255 * batch_of(on_device(pairs, CPU), 16, 1, 0, step)[0]).round().long():
            corners.add((int(patch[0].min()), int(patch[1].min())))
            positions.add((int(patch[0, 0, 1] - patch[0, 0, 0]), int(patch[1, 0, 1] - patch[1, 0, 0]),
                           int(patch[0, 1, 0] - patch[0, 0, 0]), int(patch[1, 1, 0] - patch[1, 0, 0])))  # fmt: skip
    assert len(corners) == 9
    assert len(positions) == 8


def test_seed_and_step_alone_say_which_batch(pairs):
    one, same = batch_of(on_device(pairs, CPU), 16, 4, 3, 8), batch_of(on_device(pairs, CPU), 16, 4, 3, 8)
    for a, b in zip(one, same, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    for seed, step in ((3, 9), (4, 8)):
        assert not torch.equal(batch_of(on_device(pairs, CPU), 16, 4, seed, step)[0], one[0])


def test_values_are_those_of_the_picture_and_stored_channels_last(photo):
    image = photo("coffee")[None]
    tensor = to_tensor(torch.from_numpy(image))
    np.testing.assert_array_equal(tensor.numpy(), (image.transpose(0, 3, 1, 2) / np.float32(255)))
    assert tensor.is_contiguous(memory_format=torch.channels_last)
