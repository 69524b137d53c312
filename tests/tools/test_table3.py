"""Operations and memory."""

import csv
import io

import pytest
import torch
from paper.memory import _plain_attention, peak_bytes

from pnen_train.models import build


def test_operations_are_those_worked_out_by_hand(call):
    result = call("table3", "--no-memory", "--csv")
    rows = {row["network"]: row for row in csv.DictReader(io.StringIO(result.output))}
    for name, convolutions, macs in (("w/o non-local", 12.29, 12.29), ("Wang's block", 13.99, 38.45),
                                     ("PNB", 13.19, 21.22)):  # fmt: skip
        assert float(rows[name]["GMAC, convolutions"]) == convolutions and float(rows[name]["GMAC"]) == macs
        assert float(rows[name]["GFLOP"]) == pytest.approx(2 * macs, abs=0.015)
    assert rows["PNB"]["*paper*: GB"] == "*4.3*"
    assert rows["PNB"]["*paper*: GFLOP"] == "*42.5*" and rows["PNB"]["without norms"] == "1,875,148"


def test_plain_attention_gives_the_same_picture(small):
    torch.manual_seed(0)
    model = build("pnen", {**small, "scales": [2, 4]}).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        image = torch.rand(1, 3, 24, 32)
        fused = model(image)[-1]
        with _plain_attention():
            plain = model(image)[-1]
    torch.testing.assert_close(fused, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_step_takes_at_least_its_activations_and_scores_kept_take_more(small):
    def peak(scales, side, **how):
        return peak_bytes("pnen", {**small, "scales": scales}, side, 1, device="cpu", **how)

    # 64x64 pixels and as many references, twice: 4096² scores in 4 bytes are 67 MB for each of two blocks
    step, kept = (peak([1], 64, training=True, scores=scores) for scores in (False, True))
    assert kept - step > 2 * 60e6
    # 2.1 MB a map of 8 channels: more of them than what the libraries take, which is not the same each time
    step, forward = (peak([], 256, training=training, scores=False) for training in (True, False))
    assert step - forward > 10 * 2.1e6


def test_a_checkpoint_is_a_row_as_well(trained, call, small, row_of):
    run = trained("mine", **small, scales=[8])
    result = call("table3", run, "pnen_none", "--no-memory")
    assert row_of(result.output, "scale 8, channels 8, stages 2, dilations 1")[0] != "1,336,396"
    assert row_of(result.output, "w/o non-local")[0] == "1,336,396"
