"""The model card of a checkpoint's exported files."""

import math
from typing import Any

from pnen_runtime.border import border_of
from pnen_runtime.card import LIVE_MAPS, Card
from pnen_runtime.errors import CheckpointError, EngineError, UsageError
from pnen_runtime.plan import check_tile
from pnen_train.checkpoint import Checkpoint
from pnen_train.data.filters import STRENGTH

OWN_FIELDS = ("task", "crop", "tile", "tile_step", "licence", "trained_on")  # of the record; the card has its own
UNITS = {  # of strengths, by what sets them in a task
    "l0": "λ of L0 gradient minimisation",
    "wmf": "σ of the weighted median filter",
    "sd": "λ of the SD filter",
    "noise": "σ of the noise in 8-bit levels",
}


def make_card(checkpoint: Checkpoint, max_logit: float | None = None, live_maps: int = LIVE_MAPS) -> Card:
    """What the checkpoint says of itself, as it will be read from the files.

    Numbers that are not finite become null. Raises CheckpointError where the record cannot be a card.
    """
    training = checkpoint.training
    licence = {key: training[key] for key in ("licence", "trained_on") if training.get(key) is not None}
    card = Card(
        network=checkpoint.network,
        task=training.get("task", {}),
        config=checkpoint.config,
        channels=checkpoint.config.get("image_channels", 3),
        training_crop=training.get("crop", 96),
        strength=strength_of(checkpoint),
        **licence,
        tile=training.get("tile", 96),
        tile_step=training.get("tile_step", 80),
        border=border_of(training.get("task")),
        weights_sha256=checkpoint.sha256(),
        training=finite({"steps": checkpoint.step} | {k: v for k, v in training.items() if k not in OWN_FIELDS}),
        live_maps=live_maps,
        max_logit=finite(max_logit),
    )
    try:
        card = Card.from_json(card.to_json(), "its record")
        check_tile(card, None, card.tile_step)
    except (EngineError, UsageError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"the checkpoint's training record does not make a model card: {error}") from error
    return card


def strength_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """The card's `strength` of an adjustable network, the task's own setting the default; empty where it has one.

    Raises CheckpointError where the record says no strength within the network's range.
    """
    if not checkpoint.config.get("strengths"):
        return {}
    (least, most), task = checkpoint.config["strengths"], checkpoint.training.get("task")
    task = task if isinstance(task, dict) else {}
    kind = str(task.get("filter") or task.get("function", "noise"))  # whatever a damaged record has there
    setting = "strength" if "function" in task else STRENGTH.get(kind, kind)
    default = task.get(setting)
    if type(default) not in (int, float) or not least <= default <= most:
        raise CheckpointError(
            f"an adjustable network takes strengths from {least} to {most}, and its training record must name the "
            f"default among them; expected {setting!r} in its task, got {default!r}"
        )
    scale = checkpoint.config.get("strength_scale", "log")
    return {
        "least": least,
        "most": most,
        "default": default,
        "unit": UNITS.get(kind, f"strength of {kind}"),
        "scale": scale,
    }


def finite(value: Any) -> Any:
    """The same with null for every number that JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
