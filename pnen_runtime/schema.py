"""What files say of themselves, checked once against annotated types before anything believes it."""

from __future__ import annotations

from textwrap import shorten
from typing import Annotated, Any, TypeVar

from msgspec import DecodeError, Meta, ValidationError, convert, json

LONGEST, DEEPEST = 1_000_000, 64  # bytes of a text, and parts of it inside each other: all of ours have far less
T = TypeVar("T")

Side = Annotated[int, Meta(ge=1, le=65536)]  # pixels
Count = Annotated[int, Meta(ge=0, le=2**40)]
Line = Annotated[str, Meta(max_length=300)]
Digest = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]  # sha256; empty where it is not known


class Mismatch(ValueError):
    """One line: where the value is, what it is, and what was expected."""


def read_json(text: str) -> Any:
    """Plain values; Mismatch for what is no JSON, too long, too deep, or has numbers that are not finite."""
    try:
        if len(text) > LONGEST:
            raise Mismatch(f"expected at most {LONGEST:,} characters, got {len(text):,}")
        found = json.decode(text.encode())
    except (DecodeError, UnicodeError, RecursionError) as error:
        raise Mismatch(f"not JSON: {error}") from None
    if _deeper(found, DEEPEST):
        raise Mismatch(f"expected at most {DEEPEST} parts inside each other")
    return found


def conform(found: Any, kind: type[T]) -> T:
    """`found` as this annotated dataclass; what it does not name is left out, since a later version may have added it.

    Raises Mismatch where a value is of another type or out of range.
    """
    try:
        return convert(found, kind)
    except (ValidationError, RecursionError, OverflowError) as error:
        expected, _, place = str(error).partition(" - at `$")
        place = place.rstrip("`").lstrip(".")
        raise Mismatch(f"{place} = {_shown(found, place)}: {_lower(expected)}" if place else _lower(expected)) from None


def _shown(found: Any, place: str) -> str:
    """The value at a place as msgspec names it, "engine.profiles[0]"; "..." where it cannot be followed."""
    for key in place.replace("[", ".[").split("."):
        try:
            found = found[int(key[1:-1])] if key.startswith("[") else found[key]
        except (LookupError, TypeError, ValueError):
            return "..."
    return shorten(repr(found) if not isinstance(found, int) or abs(found) < 2**64 else "a huge number", 60)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:].replace("`", "")


def _deeper(found: Any, levels: int) -> bool:
    if not isinstance(found, (dict, list)):
        return False
    parts = found.values() if isinstance(found, dict) else found
    return levels == 0 or any(_deeper(part, levels - 1) for part in parts)
