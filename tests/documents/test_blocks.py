"""Every block of code in README and docs is run, or parsed by the command that it calls, or says why it is neither.

The rules for who writes a page are in docs/contributing.md.
"""

import glob
import json
import re
import shlex
import subprocess
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import pytest
import tomllib
import torch
from documents.blocks import SHELL, blocks_of
from PIL import Image

from pnen_train.config import read_recipe
from pnen_train.training.state import build_network

ROOT = Path(__file__).parents[2]
PAGES = {str(page.relative_to(ROOT)): blocks_of(page)
         for page in [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]}  # fmt: skip
GALLERY = "docs/gallery.md"  # its blocks make its pictures: tests/documents/test_gallery.py
OURS = re.compile(r"(?:[A-Z_]+=\S+ )*(pnen-(?:smooth|train|export) .*|python3? tools/.*)")
QUICK = ("new", "models", "filter")  # of pnen-train
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def names(page):
    """What a page's Python blocks find besides `photo.jpg`."""
    found = {"picture": np.asarray(Image.open("photo.jpg"))}
    if page.endswith("plug_in.md"):
        layer = torch.nn.Conv2d(3, 256, 3, padding=1)
        found |= {"torch": torch, "network": torch.nn.Sequential()}
        found["network"].layer = layer
    return found


def split(line):
    """The simple commands of a line."""
    return [part.strip() for part in re.split(r"&&|\|", line)]


def parse(command_of, text):
    """Let the command's own parser read the words, without asking whether files are there."""
    words = [word for word in shlex.split(re.split(r" [<>] ", text)[0]) if word != "..."]
    command, rest = command_of(words)
    with suppress(click.exceptions.Exit):  # --list, --help
        command.make_context(words[0], [*rest])  # which takes them out of the list
    if words[:2] == ["pnen-train", "run"]:  # its --set, by the recipe
        changes = [after for word, after in pairwise(rest) if word == "--set"]
        with torch.device("meta"):
            build_network(read_recipe(rest[0], changes))


def runs(words):
    """Whether a command is run here for real: what trains, exports or needs a GPU is only parsed."""
    if words[0] == "pnen-smooth":
        return not any(word.endswith(".engine") for word in words)
    return words[0] == "pnen-train" and (words[1] in QUICK or "--dry-run" in words)


def perform(command_of, line):
    """Run a line, or what of it can be run."""
    parts = split(line)
    if re.search(r"[|<>$]", line):
        assert all(runs(shlex.split(part)) for part in parts), line
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        return
    for part in parts:
        words = shlex.split(part)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.M), part
        elif words[0] == "pip":
            asked = ",".join(re.findall(r"\[(.+?)\]", part)).split(",")
            assert {*filter(None, asked)} <= PROJECT["optional-dependencies"].keys(), part
        elif OURS.fullmatch(part):
            part = OURS.fullmatch(part)[1]
            parse(command_of, part)
            if runs(words):
                words = [name for word in words for name in (sorted(glob.glob(word)) if "*" in word else [word])]
                command_of([words[0]])[0].main(words[1:], standalone_mode=False)
        elif words[:3] == ["python", "-m", "pytest"]:
            assert all((ROOT / word).exists() for word in words[3:] if not word.startswith("-")), part
        else:
            raise AssertionError(f"{part}: no command that is known here; mark the block: <!-- not run: why -->")


def check(page, blocks, command_of):
    """Run or parse the blocks of a page, in the working folder."""
    known = names(page)
    for block in blocks:
        where = f"{page}:{block.line}"
        if block.file:
            Path(block.file).write_text(block.text, "utf-8")
        if block.reason:
            for _, line in block.commands() if block.language in SHELL else ():
                for part in filter(OURS.fullmatch, split(line)):
                    parse(command_of, OURS.fullmatch(part)[1])
        elif block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.text, str(ROOT / page), "exec"), known)
        elif block.language in SHELL:
            for number, line in block.commands():
                try:
                    perform(command_of, line)
                except Exception as error:
                    raise AssertionError(f"{page}:{number}: {line}\n{error}") from error
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            json.loads(block.text)
        else:
            assert block.language == "text", f"{where}: {block.language} is not run; mark it: <!-- not run: why -->"


@pytest.fixture(autouse=True)
def _files_may_be_named_only(monkeypatch):
    """`click.Path` as it is, but for files that are not there."""
    convert = click.Path.convert

    def lenient(self, value, param, ctx):
        try:
            return convert(self, value, param, ctx)
        except click.BadParameter:
            return Path(value) if self.type else value

    monkeypatch.setattr(click.Path, "convert", lenient)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("page", [page for page, blocks in PAGES.items() if blocks and page != GALLERY])
def test_blocks_do_what_the_page_says(page, command_of):
    check(page, PAGES[page], command_of)


WRONG = {
    "an option that is not there": "    pnen-smooth --stregth 0.1 photo.jpg smooth.png",
    "a picture that is not there": "    pnen-smooth foto.jpg smooth.png",
    "a result that is there already": "    pnen-smooth photo.jpg a.png\n    pnen-smooth small.jpg a.png",
    "a setting that is not there": "    pnen-train run l0 IMAGES --set optimiser.rate=1",
    "a value out of its range": "    pnen-export MODEL.pt --tiles 0",
    "an unknown subcommand": "    pnen-train score l0 IMAGES",
    "an unknown tool": "    python tools/nothing.py",
    "an unknown target": "    make nothing",
    "an unknown extra": '    pip install "pnen[nothing]"',
    "a program that is not ours": "    ffmpeg -i in.mp4 out.mp4",
    "a pipe of one that is not": "    ffmpeg -i in.avi - | pnen-smooth --raw 640x480 - -",
    "Python that fails": "```python\nfrom pnen_runtime import Smother\n```",
    "a language that nobody runs": "```javascript\nlet a = 1\n```",
    "an option in a block that is not run": "<!-- not run: a GPU -->\n\n    pnen-smooth --fast MODEL.engine IN OUT",
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_wrong_block_is_noticed(text, command_of):
    Path("page.md").write_text(f"# A page\n\nText:\n\n{text}\n", "utf-8")
    with pytest.raises(Exception, match="."):
        check("page.md", blocks_of(Path("page.md")), command_of)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("text", ["<!-- not run: hours -->\n\n    cmake .", "```text\nwhat it prints\n```", "- a\n  b"])
def test_what_is_marked_or_is_no_code_is_not_run(text, command_of):
    Path("page.md").write_text(f"# A page\n\n{text}\n", "utf-8")
    check("page.md", blocks_of(Path("page.md")), command_of)
