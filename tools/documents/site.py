"""What the site needs beyond docs/: pages of the repository's root, files that are linked to, docstrings, a whole nav.

MkDocs calls these functions (`hooks` in mkdocs.yml). The pages themselves stay plain Markdown that a forge renders too.
"""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))  # as for the tools themselves
from documents.messages import as_list  # noqa: E402

FRONT = {"README.md": "index.md", "SECURITY.md": "SECURITY.md", "CHANGELOG.md": "CHANGELOG.md"}  # and what they become
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
MESSAGES = "<!-- messages -->"
DOCSTRING = re.compile(r"<!-- docstring: (\S+) -->")


def named(nav: Any) -> list[str]:
    """The pages and patterns that a navigation names, whatever its depth."""
    if isinstance(nav, str):
        return [nav]
    return [page for part in (nav.values() if isinstance(nav, dict) else nav) for page in named(part)]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Patterns such as models/*.md stand for the pages that nav does not name, so that a new page needs no line."""
    docs, names = Path(config.docs_dir), named(config.nav)

    def found(pattern: str) -> list[str]:
        return sorted(str(file.relative_to(docs)) for file in docs.glob(pattern))

    def matching(pattern: str) -> list[str]:  # ** has what no other pattern has
        others = [page for other in names if other.count("*") == 1 and "**" in pattern for page in found(other)]
        return [page for page in found(pattern) if page not in {*names, *others}]

    def whole(nav: Any) -> Any:
        if isinstance(nav, dict):
            return {title: whole(part) for title, part in nav.items()}
        if isinstance(nav, str):
            return nav
        return [page for part in nav for page in (matching(part) if "*" in part else [whole(part)])]

    config.nav = whole(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root's pages, and the sources that pages link to, under source/."""
    for name, page in FRONT.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    for page in [*files.documentation_pages()]:
        text = Path(page.abs_src_path).read_text("utf-8")
        for target in map(target_of(page.src_uri), (link[1] for link in LINK.findall(text))):
            if target.startswith("source/") and not files.get_file_from_path(target):
                source = ROOT / target.removeprefix("source/")
                if source.is_file():
                    files.append(File.generated(config, target, abs_src_path=str(source)))
    return files


def target_of(page: str) -> Any:
    """A function from a link as it is written on a page to the path of its file in the site."""
    written = next((name for name, became in FRONT.items() if became == page), f"docs/{page}")

    def path(link: str) -> str:
        if re.match("[a-z]+:", link):
            return link
        full = posixpath.normpath(posixpath.join(posixpath.dirname(written), link))
        if full in FRONT:
            return FRONT[full]
        return full.removeprefix("docs/") if full.startswith("docs/") else f"source/{full}"

    return path


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as the site has them, and docstrings where a page asks for them."""
    where, here = target_of(page.file.src_uri), posixpath.dirname(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        target = where(match[2])
        if re.match("[a-z]+:", target):
            return match[0]
        return f"{match[1]}{posixpath.relpath(target, here or '.')}{match[3]}"

    if MESSAGES in text:
        text = text.replace(MESSAGES, f"## Every line\n{as_list()}")
    return DOCSTRING.sub(r"::: \1", LINK.sub(link, text))


class Sentences(griffe.Extension):
    """Docstrings here say `name : what it is`, where numpydoc has the type: types are in the signature already."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put what a parameter is below its name, and what is returned into a paragraph."""
        if obj.docstring is None:
            return
        text = re.sub(
            r"^Returns\n-+\n(.*?)(?=\n\n\w+\n-+\n|\Z)", r"**Returns:** \1", obj.docstring.value, flags=re.M | re.S
        )
        head, line, rest = text.partition("Parameters\n----------\n")
        listed, blank, tail = rest.partition("\n\n")
        listed = re.sub(r"^([\w, ]+) : (.*)$", r"\1\n    \2", listed, flags=re.M)
        obj.docstring.value = head + line + listed + blank + tail
