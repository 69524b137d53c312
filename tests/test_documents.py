"""README and docs: every link leads somewhere, and the front page stays one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]*)\)")


def anchors(page):
    """As GitHub makes them of headings."""
    heads = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower().replace("`", "")).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text("utf-8")):
        name, _, anchor = link.partition("#")
        if re.match("[a-z]+:", name):
            continue
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_front_page_is_one():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


def test_every_page_is_reached_from_the_front_page():
    seen, open_ = set(), [ROOT / "README.md"]
    while open_:
        page = open_.pop().resolve()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        names = (link.partition("#")[0] for link in LINK.findall(page.read_text("utf-8")))
        open_ += [page.parent / name for name in names if name and not re.match("[a-z]+:", name)]
    assert {page.resolve() for page in PAGES} <= seen
