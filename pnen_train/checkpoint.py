"""Checkpoints: plain dictionaries that say which network their weights belong to."""

import hashlib
import io
import warnings
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from pnen_runtime.errors import CheckpointError, UsageError
from pnen_runtime.files import is_file, write_bytes
from pnen_runtime.schema import Mismatch

from .contents import check_archive, check_contents
from .models import build
from .parts import LARGEST, drop_parts, read_parts, write_parts

FORMAT = 1
FIELDS = ("network", "config", "weights", "step", "training", "resume")
BULKY = ("optimiser", "weights")  # of what a resumed run needs


def _bundled() -> Path:
    """In a clone they lie here; beside an installed package in one of their own, so that the runtime goes without."""
    here = Path(__file__).parent / "bundled"
    apart = None if any(here.glob("*.pt")) else find_spec("pnen_checkpoints")
    return Path(next(iter(apart.submodule_search_locations))) if apart and apart.submodule_search_locations else here


BUNDLED = _bundled()


class _Unset(TorchFunctionMode):
    """Leaves new weights as they are, for those that others replace at once: drawing them takes most of the time."""

    def __torch_function__(self, called: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(called, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return called(*args, **kwargs)


@dataclass
class Checkpoint:
    """What a file holds: the network's name and settings, its weights, and how it came to be.

    `training` is the record that goes into the model card (task, crop, tile, recipe, scores); `resume` is there only in
    the files from which a run goes on.
    """

    network: str
    config: dict[str, Any]
    weights: dict[str, torch.Tensor]
    step: int = 0
    training: dict[str, Any] = field(default_factory=dict)
    resume: dict[str, Any] | None = None

    @classmethod
    def of(cls, network: str, model: nn.Module, **rest: Any) -> "Checkpoint":
        """A checkpoint of this model."""
        settings: Any = model.config
        config = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(settings).items()}
        return cls(network, config, model.state_dict(), **rest)

    def model(self) -> nn.Module:
        """The network with its weights, in evaluation mode; CheckpointError where they do not belong together."""
        try:
            # Settings of a hostile file take no memory before the weights were seen to fit.
            with torch.device("meta"), _Unset():
                model = build(self.network, self.config)
            kinds = {name: own.is_floating_point() for name, own in model.state_dict().items()}
            model.load_state_dict(self.weights, assign=True)
            for name, weight in model.state_dict().items():
                if weight.is_floating_point() != kinds[name]:
                    raise TypeError(f"{name} holds {weight.dtype}")
            model = deepcopy(model.float())
        except (UsageError, RuntimeError, TypeError, AttributeError, ValueError, OverflowError) as error:
            told = str(error).partition("state_dict for ")[2].partition(":")[2] or str(error)
            reason = shorten(told, 200, placeholder=" ...")
            raise CheckpointError(f"the weights do not fit network {self.network}: {reason}") from error
        if not all(torch.isfinite(p).all() for p in model.state_dict().values()):
            raise CheckpointError("the checkpoint holds weights that are not finite; take an earlier one")
        return model.eval()

    def sha256(self) -> str:
        """Of names, shapes and values of the weights, whatever the file looks like."""
        digest = hashlib.sha256()
        for name, weight in sorted(self.weights.items()):
            digest.update(f"{name}{tuple(weight.shape)}{weight.dtype}".encode())
            values = weight.detach().cpu().reshape(-1)
            values = torch.empty_like(values, memory_format=torch.contiguous_format).copy_(
                values
            )  # of a stride of 0, too
            digest.update(values.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write it whole or not at all.

    What only a resumed run needs of a large network goes into parts beside the file, none over 8 MB.
    """
    found = {"format": FORMAT, **{key: value for key, value in vars(checkpoint).items() if value is not None}}
    data, listed = _bytes_of(found), (checkpoint.resume or {}).get("parts", {})
    bulky = {key: value for key, value in (checkpoint.resume or {}).items() if key in BULKY}
    if checkpoint.resume and bulky and len(data) > LARGEST:
        listed = write_parts(path, _bytes_of(bulky))
        found["resume"] = {k: v for k, v in checkpoint.resume.items() if k not in BULKY} | {"parts": listed}
        data = _bytes_of(found)
    write_bytes(path, data)
    drop_parts(path, listed)


def _bytes_of(found: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()  # so that a full disk is an OSError that names the file
    torch.save(found, buffer)
    return buffer.getvalue()


def find_checkpoint(path: str | Path) -> Path:
    """The file of this name, or the bundled checkpoint of this name; UsageError where there is neither."""
    if is_file(Path(path)):
        return Path(path)
    if is_file(BUNDLED / f"{path}.pt"):
        return BUNDLED / f"{path}.pt"
    names = ", ".join(sorted(p.stem for p in BUNDLED.glob("*.pt")))
    apart = "; the bundled ones are a package of their own: pip install PATH_TO_A_CLONE/pnen_train/bundled"
    raise UsageError(f"{path}: no such checkpoint{f', and none of the bundled ones ({names})' if names else apart}")


def load_checkpoint(path: str | Path, *, to_resume: bool = False) -> Checkpoint:
    """Read a checkpoint by file or by the name of a bundled one ("l0"); `to_resume` with its parts, where it has some.

    Nothing in the file is run: it is read with `weights_only=True`. Raises UsageError where there is none,
    CheckpointError for a torn, foreign or hostile file, and for a missing part.
    """
    path = find_checkpoint(path)
    expected = "expected a PNEN checkpoint as pnen-train writes it"
    data = path.read_bytes()
    found = _loaded(data, f"{path}: {expected}")
    if not isinstance(found, dict) or "format" not in found:
        got = "a bare state dict, which names no network" if isinstance(found, dict) else type(found).__name__
        raise CheckpointError(f"{path}: {expected}, got {got}")
    version = found.pop("format")
    if type(version) is not int or version != FORMAT:
        raise CheckpointError(f"{path}: the checkpoint has another format than {FORMAT}, which this version reads")
    try:
        check_contents(found, len(data))
    except Mismatch as error:
        raise CheckpointError(f"{path}: {expected}, got {error}") from None
    listed = found.get("resume", {}).get("parts")
    if to_resume and listed:
        del found["resume"]["parts"]
        bulky = _loaded(read_parts(path, listed), f"{path}: expected parts as pnen-train writes them")
        if not isinstance(bulky, dict) or not bulky.keys() <= set(BULKY):
            raise CheckpointError(f"{path}: {expected}, but its parts hold something else")
        found["resume"] |= bulky
    return Checkpoint(**{key: found[key] for key in FIELDS if key in found})


def _loaded(data: bytes, expected: str) -> Any:
    try:
        check_archive(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other protocols, which are refused later
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # broken data makes the reader raise nearly anything
        got = "something else, a torn file, or one that holds code (which was not run)"
        raise CheckpointError(f"{expected}, got {got}") from error
