"""Every network by name; each maps (B, C, H, W) in [0, 1] to the tuple of its supervised images, the final one last."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from torch import nn

from pnen_runtime.errors import UsageError

from .pnen import PNEN, PNENConfig

MODELS: dict[str, tuple[type, type[nn.Module]]] = {"pnen": (PNENConfig, PNEN)}


def build(name: str, settings: Mapping[str, Any]) -> nn.Module:
    """The network `name` with these settings (lists as in TOML and JSON are taken as tuples).

    Raises UsageError for a network, a setting or a value that does not exist.
    """
    if name not in MODELS:
        raise UsageError(f'unknown network "{name}"; there are {", ".join(MODELS)}')
    config_class, network = MODELS[name]
    known = {entry.name: entry.default for entry in fields(config_class)}
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    for key, value in settings.items():
        if key not in known:
            raise UsageError(f'unknown setting "{key}" of network {name}; there are {", ".join(known)}')
        if type(value) is not type(known[key]) or (isinstance(value, tuple) and any(type(v) is not int for v in value)):
            raise UsageError(f"network {name}: expected {key} to be like {known[key]!r}, got {value!r}")
    try:
        config = config_class(**settings)
    except ValueError as error:
        raise UsageError(f"network {name}: {error}") from error
    return network(config)


def count_parameters(model: nn.Module, *, norms: bool = True) -> int:
    """How many trainable numbers the network has; `norms=False` leaves out batch normalisation's, as the paper does."""
    skipped = () if norms else (nn.BatchNorm2d,)
    return sum(p.numel() for m in model.modules() if not isinstance(m, skipped) for p in m.parameters(recurse=False))
