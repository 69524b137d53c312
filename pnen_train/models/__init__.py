"""Every network by name; each maps (B, C, H, W) in [0, 1] to the tuple of its supervised images, the final one last."""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

import torch
from torch import nn

from pnen_runtime.errors import UsageError

from .ceilnet import CEILNet, CEILNetConfig
from .djf import DJF, DJFConfig
from .memnet import MemNet, MemNetConfig
from .pnen import PNEN, PNENConfig
from .presets import PRESETS
from .rdn import RDN, RDNConfig
from .resnet import ResNet, ResNetConfig
from .size import count_parameters

__all__ = ["MODELS", "build", "config_of", "count_parameters"]

MOST_PARAMETERS = 2**28  # ten times the largest network of the paper, RDN
LARGEST, LONGEST = 2**16, 64  # of a number among the settings, and of several of them
MODELS: dict[str, tuple[type, type[nn.Module]]] = {
    "pnen": (PNENConfig, PNEN),
    "djf": (DJFConfig, DJF),
    "ceilnet": (CEILNetConfig, CEILNet),
    "resnet": (ResNetConfig, ResNet),
    "rdn": (RDNConfig, RDN),
    "memnet": (MemNetConfig, MemNet),
}
NETWORK_OF = dict(MODELS.values())


def build(name: str, settings: Mapping[str, Any]) -> nn.Module:
    """The network `name` with these settings; UsageError as `config_of`, and for one that is too large."""
    config = config_of(name, settings)
    if (parameters := parameters_of(config)) > MOST_PARAMETERS:
        raise UsageError(f"network {name}: expected at most {MOST_PARAMETERS:,} parameters, got {parameters:,}")
    return NETWORK_OF[type(config)](config)


@cache
def parameters_of(config: Any) -> int:
    """How many a network of these settings has; none are made."""
    with torch.device("meta"):
        return count_parameters(NETWORK_OF[type(config)](config))


def config_of(name: str, settings: Mapping[str, Any]) -> Any:
    """All settings of the network `name` (lists as in TOML and JSON are taken as tuples).

    The name of a preset stands for its network with its settings, which `settings` may change. Raises UsageError for a
    network, a setting or a value that does not exist.
    """
    if name in PRESETS:
        name, settings = PRESETS[name].network, PRESETS[name].settings | dict(settings)
    if name not in MODELS:
        raise UsageError(f'unknown network "{name}"; there are {", ".join(dict.fromkeys((*MODELS, *PRESETS)))}')
    config_class, _ = MODELS[name]
    defaults, kinds = {entry.name: entry.default for entry in fields(config_class)}, get_type_hints(config_class)
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    for key, value in settings.items():
        if key not in defaults:
            raise UsageError(f'unknown setting "{key}" of network {name}; there are {", ".join(defaults)}')
        if type(value) in (int, float) and not abs(value) <= LARGEST:
            raise UsageError(f"network {name}: expected {key} of at most {LARGEST:,}, got {value!r:.40}")
        if not _is_a(kinds[key], value):
            raise UsageError(f"network {name}: expected {key} to be like {defaults[key]!r}, got {value!r}")
    try:
        return config_class(**settings)
    except ValueError as error:
        raise UsageError(f"network {name}: {error}") from error


def _is_a(kind: Any, value: Any) -> bool:
    """Whether a value is of this kind: int, bool, str, several of them, or a tuple of (whole) numbers."""
    parts = value if isinstance(value, tuple) else (value,)
    if len(parts) > LONGEST or any(type(part) in (int, float) and not abs(part) <= LARGEST for part in parts):
        return False
    if isinstance(value, tuple) or get_origin(kind) is tuple:
        kinds = {tuple[int, ...]: (int,), tuple[float, ...]: (int, float)}.get(kind, ())
        return isinstance(value, tuple) and bool(kinds) and all(type(part) in kinds for part in value)
    return type(value) in (get_args(kind) or (kind,))
