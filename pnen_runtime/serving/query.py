"""What the query of `POST /smooth` asks for, held against the models before a byte of the picture is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..card import Card
from ..encode import FORMATS, WITH_QUALITY, check_format
from ..errors import UsageError
from ..saving import Saved
from ..strength import estimates, share_of, wanted_strength

KNOWN = ("model", "strength", "mix", "detail", "format", "quality")
MOST_DETAIL = 10.0


class NoModel(UsageError):
    """The service has no model of that name."""


@dataclass(frozen=True)
class Wanted:
    """One request: the model, what `Smoother.run` is told, and how the result is written."""

    model: str
    settings: dict[str, Any]
    kind: Path  # a name with the suffix of the result's format
    saved: Saved


def read_query(query: Iterable[tuple[str, str]], cards: Mapping[str, Card]) -> Wanted:
    """The first model of `cards` is the default, PNG the default format.

    Raises NoModel for a model that is not among `cards`, UsageError for everything else that cannot be.
    """
    given: dict[str, str] = {}
    for name, text in query:
        if name not in KNOWN:
            raise UsageError(f"expected the parameters {', '.join(KNOWN)}, got {name!r:.60}; leave it out")
        if name in given:
            raise UsageError(f"expected {name} once, got it twice; leave one out")
        given[name] = text
    model = given.get("model", next(iter(cards)))
    if model not in cards:
        raise NoModel(f"expected one of the models {', '.join(cards)}, got {model!r:.60}; GET /models describes them")
    suffix = f".{given.get('format', 'png').lower()}"
    if suffix not in FORMATS:
        names = ", ".join(name[1:] for name in FORMATS)
        raise UsageError(f"expected a format out of {names}, got {given['format']!r:.60}; choose one of them")
    kind = Path(f"the result{suffix}")
    return Wanted(model, _settings(given, model, cards[model]), kind, Saved(suffix, _quality(given, kind)))


def _settings(given: Mapping[str, str], model: str, card: Card) -> dict[str, Any]:
    text = given.get("strength")
    strength: Any = text if text in (None, "auto") else _number(given, "strength", 0.0)
    mix, detail = _number(given, "mix", 1.0), _number(given, "detail", 0.0) if "detail" in given else None
    share_of(mix, detail)
    if detail is not None and detail > MOST_DETAIL:
        raise UsageError(f"expected detail from 0 to {MOST_DETAIL:g}, got {detail:g}; take less")
    if "scale" in card.task:
        if strength is not None or detail is not None:
            raise UsageError(f"expected neither strength nor detail with {model}, which enlarges; leave them out")
        return {"mix": mix}
    found: dict[str, Any] = {"mix": mix} | ({} if detail is None else {"detail": detail})
    if estimates(card, strength):
        return found | {"strength": "auto"}
    return found if strength is None else found | {"strength": wanted_strength(card, strength, 0, 0)}


def _number(given: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(given.get(name, default))
    except ValueError:
        raise UsageError(f"expected {name} to be a number, got {given[name]!r:.60}; write it as 0.5") from None


def _quality(given: Mapping[str, str], kind: Path) -> int | None:
    if (text := given.get("quality")) is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= 100):
        raise UsageError(f"expected quality to be a whole number from 1 to 100, got {text!r:.60}; 95 is the default")
    if (name := check_format(kind).name) not in WITH_QUALITY:
        raise UsageError(f"expected quality with {', '.join(WITH_QUALITY)}, got it with {name}, which loses nothing; "
                         "leave it out, or choose another format")  # fmt: skip
    return int(text)
