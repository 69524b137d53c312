"""How large the networks are: the counts of the paper, multiplications, depth."""

import pytest
import torch
from click.testing import CliRunner

from pnen_train.cli import main
from pnen_train.models import build, count_parameters
from pnen_train.models.presets import PRESETS
from pnen_train.models.size import count_macs, depth

# parameters, those without norms, what is published
COUNTS = {
    "pnen_none": (1_336_396, 1_334_476, 1334),
    "pnen_wang": (1_520_716, 1_518_796, 1519),
    "pnen_wang_1x1": (1_373_260, 1_371_340, None),
    "pnen_2": (1_520_716, 1_518_796, None),
    "pnen_4": (1_520_716, 1_518_796, None),
    "pnen_8": (1_520_716, 1_518_796, None),
    "pnen_2_4": (1_698_892, 1_696_972, None),
    "pnen": (1_877_068, 1_875_148, 1875),
    "pnen_counts_all_none": (1_333_644, 1_331_724, 1334),
    "pnen_counts_all_wang": (1_518_540, 1_516_620, 1519),
    "pnen_counts_all": (1_875_468, 1_873_548, 1875),
    "resnet": (1_961_091, 1_956_867, 1961),
    "djf": (99_017, 99_017, 99),
    "ceilnet": (2_285_956, 2_278_020, None),
    "ceilnet_single": (1_113_347, 1_109_379, 1113),
    "rdn": (22_009_793, 22_009_793, 20_500),
    "rdn_deeper": (24_747_073, 24_747_073, 23_200),
    "rdn_pnb": (22_379_489, 22_379_489, 20_900),
    "rdn_count_matched": (20_641_153, 20_641_153, 20_500),
    "rdn_count_matched_deeper": (23_378_433, 23_378_433, 23_200),
    "rdn_count_matched_pnb": (21_010_849, 21_010_849, 20_900),
    "memnet": (693_640, 676_998, 677),
    "memnet_deeper": (1_063_560, 1_045_638, 1056),
    "memnet_pnb": (1_063_336, 1_046_694, 1047),
    "memnet_deeper_shared_norms": (1_055_880, 1_045_638, 1056),
}


def on_meta(name, **settings):
    with torch.device("meta"):
        return build(name, settings).eval()


@pytest.mark.parametrize("name", PRESETS)
def test_parameter_counts_are_exact_and_round_to_the_published_ones_where_they_say_so(name):
    model, preset = on_meta(name), PRESETS[name]
    total, without_norms, published = COUNTS[name]
    assert (count_parameters(model), count_parameters(model, norms=False)) == (total, without_norms)
    digits = "" if published is None else f"{published / 1000}M" if published >= 10_000 else f"{published}k"
    assert preset.published == digits
    if preset.counted:
        assert round({"all": total, "without norms": without_norms}[preset.counted] / 1000) == published
    elif published is not None:
        assert published not in (round(total / 1000), round(without_norms / 1000))


def test_norms_that_the_recursions_of_memnet_share_are_counted_once():
    model = on_meta("memnet", norms_shared=True)
    assert (count_parameters(model), count_parameters(model, norms=False)) == (685_960, 676_998)


@pytest.mark.parametrize(
    ("name", "giga"),
    [("pnen_none", 12.29), ("pnen_wang", 38.45), ("pnen", 21.22), ("resnet", 18.03), ("djf", 0.91), ("ceilnet", 6.29)],
)
def test_multiplications_are_those_counted_by_hand(name, giga):
    assert round(count_macs(on_meta(name)) / 1e9, 2) == giga


def test_multiplications_are_the_same_on_a_real_device():
    settings = {"channels": 8, "stages": 1, "key_channels": 4, "value_channels": 6}
    assert count_macs(build("pnen", settings), 17, 21) == count_macs(on_meta("pnen", **settings), 17, 21)


@pytest.mark.parametrize(
    ("name", "convolutions"),
    [("pnen", 37), ("pnen_none", 34), ("resnet", 37), ("djf", 6), ("ceilnet_single", 32), ("ceilnet", 64),
     ("rdn", 2 + 16 * 9 + 2 + 2), ("rdn_pnb", 150 + 3), ("memnet", 80), ("memnet_pnb", 83), ("memnet_deeper", 90)],
)  # fmt: skip
def test_depth_is_that_of_the_papers(name, convolutions):
    assert depth(on_meta(name)) == convolutions


def test_command_prints_the_table():
    result = CliRunner().invoke(main, ["models"])
    assert result.exit_code == 0
    header, line, *rows = result.output.splitlines()
    assert header == "| network | parameters | without norms | published | GMAC | depth |"
    assert line.count("---:") == 5
    assert [row.split(" | ")[0] for row in rows] == [f"| {name}" for name in PRESETS]
    assert "| pnen | 1,877,068 | 1,875,148 | 1875k (without norms) | 21.22 | 37 |" in rows
    assert "| ceilnet | 2,285,956 | 2,278,020 |  | 6.29 | 64 |" in rows
