"""Where networks are trained and scored."""

import torch
from torch import nn

from pnen_runtime.errors import BackendMissing, UsageError


def pick_device(wish: str) -> torch.device:
    """The device of this name; "auto" takes CUDA where there is one.

    Raises UsageError for a name that means nothing, BackendMissing for a device that is not there.
    """
    if wish == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wish)
    except RuntimeError as error:
        raise UsageError(f'expected a device such as auto, cpu, cuda or cuda:1, got "{wish}"') from error
    try:
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise BackendMissing(f"no device {wish} on this machine ({reason}); take --device auto") from error
    return device


def put(model: nn.Module, device: torch.device) -> nn.Module:
    """The network on this device with its weights channels last, which convolutions on both kinds of device prefer."""
    return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the device has bfloat16 arithmetic of its own; where it has none a step takes several times as long."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).major >= 8 or torch.version.hip is not None
    if device.type != "cpu":
        return False
    if not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.11
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16"))
