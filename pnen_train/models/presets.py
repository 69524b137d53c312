"""The networks of the PNEN paper's tables by name, each as settings of a network and with its published size."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Preset:
    """One row of a table of the paper, or a variant that meets its count better."""

    network: str
    settings: dict[str, Any] = field(default_factory=dict)
    published: str = ""  # parameters, in the paper's digits; empty where the paper has no such network
    counted: str = ""  # what the published figure is: "all" parameters, those "without norms", or neither


WITH_BLOCKS = {"scales": (2, 4, 8)}
ALL_COUNTED = {"entry_bias": False, "dilated_bias": True, "exit_kernel": 1, "block_bias": True}

PRESETS: dict[str, Preset] = {
    "pnen_none": Preset("pnen", {"scales": ()}, "1334k", "without norms"),
    "pnen_wang": Preset("pnen", {"scales": (1,)}, "1519k", "without norms"),
    "pnen_wang_1x1": Preset("pnen", {"scales": (1,), "block_kernel": 1}),
    "pnen_2": Preset("pnen", {"scales": (2,)}),
    "pnen_4": Preset("pnen", {"scales": (4,)}),
    "pnen_8": Preset("pnen", {"scales": (8,)}),
    "pnen_2_4": Preset("pnen", {"scales": (2, 4)}),
    "pnen": Preset("pnen", {}, "1875k", "without norms"),
    "pnen_counts_all_none": Preset("pnen", ALL_COUNTED | {"scales": ()}, "1334k", "all"),
    "pnen_counts_all_wang": Preset("pnen", ALL_COUNTED | {"scales": (1,)}, "1519k", "all"),
    "pnen_counts_all": Preset("pnen", ALL_COUNTED, "1875k", "all"),
    "resnet": Preset("resnet", {}, "1961k", "all"),
    "djf": Preset("djf", {}, "99k", "all"),
    "ceilnet": Preset("ceilnet"),
    "ceilnet_single": Preset("ceilnet", {"cascade": False}, "1113k", "all"),
    "rdn": Preset("rdn", {}, "20.5M"),
    "rdn_deeper": Preset("rdn", {"blocks": 18}, "23.2M"),
    "rdn_pnb": Preset("rdn", WITH_BLOCKS, "20.9M"),
    "rdn_count_matched": Preset("rdn", {"blocks": 15}, "20.5M"),
    "rdn_count_matched_deeper": Preset("rdn", {"blocks": 17}, "23.2M"),
    "rdn_count_matched_pnb": Preset("rdn", {"blocks": 15} | WITH_BLOCKS, "20.9M"),
    "memnet": Preset("memnet", {}, "677k", "without norms"),
    "memnet_deeper": Preset("memnet", {"deeper": True}, "1056k"),
    "memnet_pnb": Preset("memnet", WITH_BLOCKS, "1047k", "without norms"),
    "memnet_deeper_shared_norms": Preset("memnet", {"deeper": True, "norms_shared": True}, "1056k", "all"),
}
