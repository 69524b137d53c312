"""The weights that a run begins with: those of a checkpoint, fitted to the recipe's network."""

from dataclasses import asdict, replace

from torch import nn

from pnen_runtime.errors import CheckpointError, UsageError

from ..checkpoint import Checkpoint, load_checkpoint
from ..data.tasks import usual_strength
from ..models.pnen import PNEN


def begin_with(model: nn.Module, weights: str) -> str:
    """Load the weights of this file, or bundled model, into the network; their sha256.

    A network of one strength takes those of an adjustable one as it is at its default strength, and one of more stages
    those of fewer: it then gives what they give. Raises UsageError where there are none of this name or they are
    another network's, CheckpointError where they cannot be read.
    """
    found = load_checkpoint(weights)
    start = found.model()
    if getattr(start.config, "strengths", ()) and not getattr(model.config, "strengths", ()):
        start = start.at(_usual_strength(found, weights))  # type: ignore[operator]
    if isinstance(start, PNEN) and isinstance(model, PNEN):
        stages = model.config.stages
        if start.config.stages < stages and replace(start.config, stages=stages) == model.config:
            start = start.deepened(stages)
    if start.config != model.config:
        own, other = ({"kind": type(net).__name__, **asdict(net.config)} for net in (model, start))  # type: ignore[call-overload]
        differ = [f"{key} {was} and not {other.get(key)}" for key, was in own.items() if other.get(key) != was]
        raise UsageError(f"{weights}: expected weights to start with of the recipe's own network, "
                         f"got those of another; it has {', '.join(differ)}")  # fmt: skip
    model.load_state_dict(start.state_dict())
    return found.sha256()


def _usual_strength(found: Checkpoint, weights: str) -> float:
    wanted = f"{weights}: expected the record of an adjustable network's default strength, found none"
    if not found.training.get("task"):
        raise CheckpointError(wanted)
    try:
        return usual_strength(found.training["task"])
    except UsageError as error:
        raise CheckpointError(f"{wanted}: {error}") from error
