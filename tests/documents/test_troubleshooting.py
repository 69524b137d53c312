"""docs/troubleshooting.md: what it quotes is said somewhere, and no error class or exit code is missing."""

import errno
import os
import re
from pathlib import Path

import pytest
from documents.messages import VARIES, all_texts, as_list, messages

from pnen_export.parity import Mismatch
from pnen_runtime import errors
from pnen_runtime.commands import SIGNALLED

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
TEXT = PAGE.read_text("utf-8")
SYSTEM = [os.strerror(number) for number in (errno.ENOSPC, errno.EACCES)]
CLICKS_AND_PYTHONS = ("BadParameter", "ValueError", "MemoryError")
CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PnenError)]


def quotes():
    """Every line that the page quotes: `code` in the first column of its tables, but for those without lines."""
    quoted = []
    for section in re.split(r"^## ", TEXT, flags=re.M)[1:]:
        rows = re.findall(r"^\| (.+?) \|", section, re.M)
        quoted += [quote for row in rows if rows[0] == "the line says" for quote in re.findall(r"`([^`]+)`", row)]
    return quoted


def said(quote, texts):
    """Whether the fixed parts of a quote stand in one text, in this order."""
    parts = [part for part in quote.split(VARIES) if part.strip()]
    return any(re.search(".*?".join(map(re.escape, parts)), text, re.S) for text in texts)


@pytest.fixture(scope="module")
def texts():
    return [*all_texts(), *SYSTEM]


def test_every_quoted_line_is_said_somewhere(texts):
    assert len(quotes()) > 100
    assert not [quote for quote in quotes() if not said(quote, texts)]


def test_a_line_that_nobody_says_is_noticed(texts):
    assert not said("expected a smoother picture, got …", texts)
    assert not said("got … expected an image", ["expected an image, got something else"])


@pytest.mark.parametrize("kind", [*CLASSES, Mismatch], ids=lambda kind: kind.__name__)
def test_every_error_has_its_exit_code(kind):
    rows = {row.split(" | ")[0]: row for row in re.findall(r"^\| (\d.*)$", TEXT, re.M)}
    assert f"`{kind.__name__}`" in rows[str(kind.exit_code)]


def test_every_exit_code_is_there():
    codes = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", TEXT, re.M) for code in row.split(",")}
    assert codes == {0, *(kind.exit_code for kind in CLASSES), *(SIGNALLED + number for number in (1, 2, 15))}


def test_the_list_has_every_line_of_an_error():
    found, listed = messages(), as_list()
    assert len(found) > 300 and all(f"`` {message.text} ``" in listed for message in found)
    kinds = {message.kind for message in found}
    assert {
        "UsageError",
        "ImageError",
        "CheckpointError",
        "EngineError",
        "BackendMissing",
        "Misfit",
        "Mismatch",
    } <= kinds
