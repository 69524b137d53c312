"""What pages name in passing: options that the commands have, files that are there."""

import re
import shlex
from pathlib import Path

import click
import pytest

from pnen_export.destinations import WHERE

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
CALL = re.compile(r"(?:[A-Z_]+=\S+ )*(pnen-(?:smooth|train|export)|python3? (?=tools/.*\.py))")
FILE = re.compile(r"(?:pnen_runtime|pnen_train|pnen_export|tools|tests)/[\w./-]*")
OTHERS = {"--real-cuda", "--nproc-per-node", "--strict", "--gpu-only"}  # of pytest here, torchrun, mkdocs, ComfyUI


def spans(page):
    """The page's `code` outside its blocks."""
    text = re.sub(r"^```.*?^```|^    .*?$", "", page.read_text("utf-8"), flags=re.M | re.S)
    return re.findall(r"`([^`\n]+)`", text)


def options(command):
    """The options of a command and of the commands in it."""
    found = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help", "-h"}
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        found |= {name for word in command.list_commands(ctx) for name in options(command.get_command(ctx, word))}
    return found


@pytest.fixture(scope="module")
def every_option(command_of):
    """Of all commands and tools."""
    found = set(OTHERS)
    for words in (
        ["pnen-smooth"],
        ["pnen-smooth", "doctor"],
        ["pnen-smooth", "inspect"],
        ["pnen-train"],
        ["pnen-smooth", "serve"],
        ["pnen-export"],
        *(["pnen-export", "--for", program] for program in WHERE),
    ):
        found |= options(command_of(words)[0])
    for tool in sorted((ROOT / "tools").rglob("*.py")):
        if re.search(r"^def main\(", text := tool.read_text("utf-8"), re.M) and re.search(
            "^@click.(command|group)", text, re.M
        ):
            found |= options(command_of(["python", str(tool.relative_to(ROOT))])[0])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_named_in_passing_have_these_options(page, command_of):
    for span in filter(CALL.match, spans(page)):
        words = shlex.split(re.sub(r"^(?:[A-Z_]+=\S+ )*", "", span), comments=True)
        words = words[: next((place for place, word in enumerate(words) if word in ("|", "&&", "<", ">")), None)]
        words = [word for word in words if word != "..."]
        command, rest = command_of(words)
        wrong = {word.partition("=")[0] for word in rest if re.match("--?[a-z]", word)} - options(command)
        assert not wrong, span


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_named_in_passing_exist(page, every_option):
    for span in spans(page):
        if span.startswith("--"):  # others' options stand behind their program: `docker run --gpus all`
            assert not {*re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", span)} - every_option, span


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_named_in_passing_are_there(page):
    for span in spans(page):
        if FILE.fullmatch(span):
            assert (ROOT / span).exists(), span
