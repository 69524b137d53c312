"""Scores, and which tile they recommend."""

import logging
import math
from functools import partial
from statistics import fmean

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from pnen_runtime.errors import CheckpointError
from pnen_train.commands.options import scored_tasks
from pnen_train.evaluation.evaluate import Scores, evaluate, network_smoother
from pnen_train.evaluation.study import TileScore, recommended, study


def half(image):
    return image // 2 + 60


def test_scores_are_the_means_of_scikit_images_figures(pairs):
    scores = evaluate(half, pairs)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    results = [(target, half(image)) for image, target in pairs]
    assert scores.psnr == pytest.approx(fmean(peak_signal_noise_ratio(*both) for both in results))
    assert scores.ssim == pytest.approx(fmean(structural_similarity(*both, channel_axis=2, **wang) for both in results))
    assert scores.ssim_box7 == pytest.approx(fmean(structural_similarity(*both, channel_axis=2) for both in results))
    assert scores.images == len(pairs)


def test_a_result_that_equals_its_target_is_left_out_of_psnr_with_a_warning(pairs, caplog):
    image, target = pairs[0]
    with caplog.at_level(logging.WARNING, "pnen"):
        scores = evaluate(lambda image: image, [(image, target), (target, target)])
    assert scores.psnr == evaluate(lambda image: image, [(image, target)]).psnr
    assert scores.images == 2
    assert caplog.messages == ["1 of 2 results equal their targets: left out of PSNR"]


def test_where_every_result_equals_its_target_psnr_is_infinite_and_null_in_json(pairs):
    scores = evaluate(lambda image: image, [(pairs[0][1],) * 2])
    assert (scores.psnr, scores.ssim) == (math.inf, 1)
    assert scores.record()["psnr"] is None and scores.record()["ssim"] == 1


def test_seconds_are_those_of_smoothing_alone(pairs, monkeypatch):
    clock = [0.0]

    def smooth(image):
        clock[0] += 2
        return image

    def slow_metric(*_):
        clock[0] += 100
        return 30.0

    monkeypatch.setattr("pnen_train.evaluation.evaluate.psnr", slow_metric)
    assert evaluate(smooth, pairs, clock=lambda: clock[0]).seconds == 2


def test_no_pairs_are_refused():
    with pytest.raises(ValueError, match="at least one pair"):
        evaluate(lambda image: image, [])


class Brighter(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x), x + 20 / 255


@pytest.mark.parametrize(("tile", "step"), [("whole", None), (16, 12), (32, None)])
def test_a_network_smooths_by_its_last_image_in_tiles(photo, tile, step):
    image = photo("coffee")
    result = network_smoother(Brighter(), tile, step)(image)
    np.testing.assert_array_equal(result, np.clip(image.astype(int) + 20, 0, 255))


def row(tile, psnr, seconds):
    return TileScore(tile, None, Scores(psnr, 0.9, 0.9, seconds, 1))


def test_the_fastest_tile_close_to_the_best_is_recommended_and_never_the_whole_image():
    rows = [row("whole", 35, 0.1), row(256, 30, 0.2), row(128, 32.99, 0.5), row(96, 33, 0.9), row(64, 32.5, 0.3)]
    assert recommended(rows).tile == 128
    assert recommended(rows, tolerance=0).tile == 96
    assert recommended(rows, tolerance=9).tile == 256


def test_a_study_scores_every_tile_on_the_same_pairs(pairs):
    seen = []
    tiles = [("whole", None), (32, 24), (16, 8)]
    rows = study(partial(network_smoother, Brighter()), pairs[:2], tiles, progress=lambda *at: seen.append(at))
    assert [(r.tile, r.step) for r in rows] == tiles
    assert len({r.scores.psnr for r in rows}) == 1 and rows[0].scores.images == 2
    assert seen == [(1, 3), (2, 3), (3, 3)]


NO_TASKS = ({}, {"filter": "l1"}, {"filter": "l0", "kappa": [2]}, {"noise": -1}, {"function": "x"},
            {"filter": "l0", "more": 1}, {"filter": "l0", "strengths": [0.2, 0.02]})  # fmt: skip


@pytest.mark.parametrize("task", NO_TASKS, ids=str)
def test_a_checkpoint_whose_task_is_none_cannot_be_read(task):
    with pytest.raises(CheckpointError, match="the checkpoint does not say w"):
        scored_tasks({"task": task}, None, ())
