"""The figures that the PNEN paper prints (Zhu et al. 2020, Tables 1 to 5), and which network each row is."""

from dataclasses import dataclass, field

Figures = tuple[float, float | None]  # PSNR in dB, SSIM (None where the paper prints none)


@dataclass(frozen=True)
class Table:
    """A table of the paper: its rows with the preset of each, its columns, and what it prints."""

    number: int
    title: str
    rows: dict[str, str]  # name → preset, in the paper's order
    columns: tuple[str, ...]
    figures: dict[tuple[str, str], Figures]  # (row, column) → as printed
    caveat: str  # why the paper's columns are not ours
    task: str = "filter"  # what its networks learn, and for tables that say so with which figure
    figure: int | None = None


def _grid(rows: dict[str, str], columns: tuple[str, ...], printed: list[list[Figures]]) -> dict:
    return {(row, column): figures for row, line in zip(rows, printed, strict=True)
            for column, figures in zip(columns, line, strict=True)}  # fmt: skip


SMOOTHING = "of other photographs (its 500 could not be obtained), trained for two days on a GPU"
FILTERS = ("WMF", "L0", "SD")
NETWORKS = {"DJF": "djf", "CEILNet": "ceilnet", "ResNet": "resnet", "PNEN": "pnen"}
TABLE1 = Table(
    1,
    "smoothing",
    NETWORKS,
    FILTERS,
    _grid(NETWORKS, FILTERS, [
        [(34.31, 0.9647), (30.20, 0.9458), (30.95, 0.9264)],
        [(37.73, 0.9773), (31.30, 0.9519), (32.67, 0.9452)],
        [(38.30, 0.9813), (32.30, 0.9671), (33.21, 0.9532)],
        [(39.45, 0.9846), (33.44, 0.9741), (34.19, 0.9646)],
    ]),
    SMOOTHING,
)  # fmt: skip

ABLATION = {
    "w/o non-local": "pnen_none", "scale 2": "pnen_2", "scale 4": "pnen_4", "scale 8": "pnen_8",
    "scales 2+4": "pnen_2_4", "scales 2+4+8": "pnen", "Wang's block": "pnen_wang",
}  # fmt: skip
TABLE2 = Table(
    2,
    "the scales of the block",
    ABLATION,
    FILTERS,
    {(row, "L0"): figures for row, figures in zip(ABLATION, [
        (31.95, 0.9665), (32.57, 0.9706), (33.17, 0.9708), (32.87, 0.9707), (33.21, 0.9720), (33.44, 0.9741),
        (32.40, None),  # from Table 3
    ], strict=True)},
    SMOOTHING,
)  # fmt: skip

RDN = {"RDN": "rdn", "RDN, deeper": "rdn_deeper", "RDN w/ PNB": "rdn_pnb"}
GREY = ("Set12", "BSD68", "Urban100")
TABLE4 = Table(
    4,
    "denoising, sigma 25",
    RDN,
    GREY,
    _grid(RDN, GREY, [
        [(30.60, 0.8651), (29.30, 0.8335), (30.28, 0.8923)],
        [(30.62, 0.8662), (29.31, 0.8341), (30.32, 0.8945)],
        [(30.72, 0.8689), (29.38, 0.8370), (30.83, 0.9023)],
    ]),
    "trained on DIV2K, which could not be obtained",
    "noise",
    25,
)  # fmt: skip

MEMNET = {"MemNet": "memnet", "MemNet, deeper": "memnet_deeper", "MemNet w/ PNB": "memnet_pnb"}
COLOUR = ("Set5", "Set14", "BSD100", "Urban100")
TABLE5 = Table(
    5,
    "super-resolution, x3",
    MEMNET,
    COLOUR,
    _grid(MEMNET, COLOUR, [
        [(34.09, 0.9248), (30.00, 0.8350), (28.96, 0.8001), (27.56, 0.8376)],
        [(34.12, 0.9250), (30.04, 0.8361), (28.97, 0.8008), (27.65, 0.8380)],
        [(34.18, 0.9267), (30.12, 0.8409), (29.02, 0.8072), (27.88, 0.8474)],
    ]),
    "trained on 291 images to a budget that the paper does not state",
    "scale",
    3,
)  # fmt: skip


@dataclass(frozen=True)
class Resources:
    """One row of Table 3, at 96x96 pixels; the paper says neither what it counts nor what it measures."""

    gflop: float
    gigabytes: float
    psnr: float
    preset: str = field(default="")


TABLE3 = {
    "w/o non-local": Resources(40.6, 1.1, 31.95, "pnen_none"),
    "Wang's block": Resources(46.2, 9.6, 32.40, "pnen_wang"),
    "PNB": Resources(42.5, 4.3, 33.44, "pnen"),
}
