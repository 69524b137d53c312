"""The published figures, against the paper's tables written down a second time, and the presets of its rows."""

import pytest
from paper.published import TABLE1, TABLE2, TABLE3, TABLE4, TABLE5

from pnen_train.models.presets import PRESETS

SMOOTHING = """
| | DJF | CEILNet | ResNet | PNEN |
| WMF | 34.31/0.9647 | 37.73/0.9773 | 38.30/0.9813 | 39.45/0.9846 |
| L0 | 30.20/0.9458 | 31.30/0.9519 | 32.30/0.9671 | 33.44/0.9741 |
| SD | 30.95/0.9264 | 32.67/0.9452 | 33.21/0.9532 | 34.19/0.9646 |
"""
SCALES = """
| | w/o non-local | scale 2 | scale 4 | scale 8 | scales 2+4 | scales 2+4+8 |
| L0 | 31.95/0.9665 | 32.57/0.9706 | 33.17/0.9708 | 32.87/0.9707 | 33.21/0.9720 | 33.44/0.9741 |
"""
DENOISING = """
| | RDN | RDN, deeper | RDN w/ PNB |
| Set12 | 30.60/0.8651 | 30.62/0.8662 | 30.72/0.8689 |
| BSD68 | 29.30/0.8335 | 29.31/0.8341 | 29.38/0.8370 |
| Urban100 | 30.28/0.8923 | 30.32/0.8945 | 30.83/0.9023 |
"""
SUPER_RESOLUTION = """
| | MemNet | MemNet, deeper | MemNet w/ PNB |
| Set5 | 34.09/0.9248 | 34.12/0.9250 | 34.18/0.9267 |
| Set14 | 30.00/0.8350 | 30.04/0.8361 | 30.12/0.8409 |
| BSD100 | 28.96/0.8001 | 28.97/0.8008 | 29.02/0.8072 |
| Urban100 | 27.56/0.8376 | 27.65/0.8380 | 27.88/0.8474 |
"""


def figures(text):
    """{(row, column): (PSNR, SSIM)} of a table whose lines are our columns."""
    head, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()]
    return {(row, line[0]): tuple(map(float, cell.split("/"))) for line in lines
            for row, cell in zip(head[1:], line[1:], strict=True)}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "printed"), [(TABLE1, SMOOTHING), (TABLE4, DENOISING), (TABLE5, SUPER_RESOLUTION)], ids=lambda x: ""
)
def test_published_columns_are_the_papers(table, printed):
    assert table.figures == figures(printed)


def test_table2_is_the_papers_and_has_wangs_block_from_table3():
    assert table2_without_wang() == figures(SCALES)
    assert TABLE2.figures["Wang's block", "L0"] == (TABLE3["Wang's block"].psnr, None) == (32.40, None)


def table2_without_wang():
    return {place: values for place, values in TABLE2.figures.items() if place[0] != "Wang's block"}


def test_table3_repeats_the_psnr_of_table2():
    assert TABLE3["w/o non-local"].psnr == TABLE2.figures["w/o non-local", "L0"][0]
    assert TABLE3["PNB"].psnr == TABLE2.figures["scales 2+4+8", "L0"][0] == TABLE1.figures["PNEN", "L0"][0]
    assert [(row.gflop, row.gigabytes) for row in TABLE3.values()] == [(40.6, 1.1), (46.2, 9.6), (42.5, 4.3)]


@pytest.mark.parametrize("table", [TABLE1, TABLE2, TABLE4, TABLE5], ids=lambda table: f"table{table.number}")
def test_every_row_has_a_preset_and_no_two_rows_the_same(table):
    assert set(table.rows.values()) <= set(PRESETS) and len(set(table.rows.values())) == len(table.rows)
