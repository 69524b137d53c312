"""The site: it is built strictly, needs nothing from elsewhere, and every link and anchor in it leads somewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Links(HTMLParser):
    """What a page fetches, where it leads, and the anchors in it."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.leads, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href"):
            self.leads.append(values["href"])
        elif tag in FETCHED and values.get(FETCHED[tag]) and values.get("rel") not in ("canonical", "prev", "next"):
            self.fetched.append(values[FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site's folder, and what each page of it links to."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, {page: Links(page.read_text("utf-8")) for page in folder.rglob("*.html") if page.stem != "404"}


def test_every_page_is_built(site):
    folder, pages = site
    names = {page.relative_to(folder).with_suffix("").as_posix() for page in pages}
    written = {page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert {name.replace("README", "index") for name in written} | {"index", "SECURITY", "CHANGELOG"} <= names


def test_every_page_is_in_the_navigation(site):
    folder, pages = site
    index = {unquote(link.partition("#")[0]) for link in pages[folder / "index.html"].leads}
    for page in pages:
        name = page.relative_to(folder).as_posix()
        assert name in index or name.startswith("source/"), page  # those are files that pages link to


def test_nothing_is_fetched_from_elsewhere(site):
    folder, pages = site
    for page, links in pages.items():
        assert not [link for link in links.fetched if re.match("(?:[a-z]+:)?//", link)], page
    for style in folder.rglob("*.css"):
        assert not re.search(r"url\((?:['\"])?https?:|@import", style.read_text("utf-8")), style


def test_every_link_and_anchor_leads_somewhere(site):
    folder, pages = site
    for page, links in pages.items():
        for link in {*links.leads, *links.fetched}:
            name, _, anchor = unquote(link).partition("#")
            if re.match("[a-z]+:", link):
                continue
            target = (page.parent / name).resolve() if name else page
            assert target.exists() and target.is_relative_to(folder), (page, link)
            if anchor and target.suffix == ".html":
                assert anchor in pages[target].anchors | {"__toc", "__drawer"}, (page, link)


def test_lists_and_tables_are_such_in_both_kinds_of_markdown(site):
    """A forge begins a list or a table without an empty line before it; the site would make a paragraph of it."""
    _, pages = site
    for page in pages:
        paragraphs = re.findall(r"<p>(.*?)</p>", page.read_text("utf-8"), re.S)
        assert not [text for text in paragraphs if re.search(r"^(- |\d\. |\|)", text, re.M)], page


def test_the_search_finds_lines_of_errors(site):
    folder, _ = site
    index = (folder / "search" / "search_index.json").read_text("utf-8")
    for words in ("would be overwritten", "but its parts hold something else", "Upscaler"):
        assert words in index, words


@pytest.mark.parametrize("name", ["Smoother", "Upscaler", "l0", "read_image", "EngineError", "Forecast"])
def test_the_api_is_from_the_docstrings(site, name):
    folder, pages = site
    assert any(anchor.rpartition(".")[2] == name for anchor in pages[folder / "api.html"].anchors)
