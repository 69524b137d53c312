"""Options: one word for one thing in all commands, and what cannot be is wrong usage before any work."""

import click
import pytest
from click.testing import CliRunner

from pnen_export.cli import main as export
from pnen_runtime.cli import smooth
from pnen_train import cli
from pnen_train.data import targets


def call(*args):
    return CliRunner().invoke(cli.main, [str(arg) for arg in args])


def options(command):
    return {name for part in command.params if isinstance(part, click.Option) for name in part.opts}


def commands():
    own = {f"pnen-train {name}": cli.main.get_command(None, name) for name in cli.HELP}
    return own | {"pnen-smooth": smooth, "pnen-export": export}


# what other words for the same thing would be, and the word that each command with one of them must have
WORDS = {
    "--tile-step": {"--step", "--stride", "--tile-step"},
    "--overwrite": {"--force", "--overwrite", "--replace"},
    "--out": {"-o", "--output", "--out"},
    "--limit": {"--images", "--count", "--limit"},
    "--json": {"--as-json", "--json"},
    "--strength": {"--strengths", "--strength"},
}


@pytest.mark.parametrize("word", WORDS)
def test_one_thing_has_one_word_in_all_commands(word):
    having = {name for name, command in commands().items() if options(command) & WORDS[word]}
    assert having and having == {name for name, command in commands().items() if word in options(command)}


def test_words_of_before_still_work():
    assert {"--step", "--output", "--force"} <= options(smooth)
    assert "--force" in options(commands()["pnen-train filter"])
    assert "--strengths" in options(commands()["pnen-train evaluate"])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["evaluate", "l0-fast", "images", "--tile", "32", "--tile-step", "64"], "expected --tile-step from 1 to 32"),
        (["evaluate", "l0-fast", "images", "--tile-step", "5000"], "expected --tile-step from 1 to "),
        (["evaluate", "l0-fast", "images", "--tile", "whole", "--tile-step", "8"], "--tile-step is for tiles"),
        (
            ["evaluate", "l0-fast", "images", "--strength", "5"],
            "0.2, which the network learnt, got 5",
        ),
        (["evaluate", "l0-fast", "images", "--strengths", "0.02,nan"], "expected a strength from 0.002 to 0.2"),
        (["evaluate", "l0-fast", "images", "--strengths", "0"], "expected a strength from 0.002 to 0.2"),
        (["evaluate", "l0-fast", "images", "--strengths", ","], "expected numbers between commas"),
        (["evaluate", "wmf-fast", "images", "--strength", "3"], "one strength"),
        (["study", "l0-fast", "images", "--strength", "7"], "expected a strength from 0.002 to 0.2"),
        (["study", "l0-fast", "images", "--strength", "nan"], "expected a strength from 0.002 to 0.2"),
        (["study", "wmf-fast", "images", "--strength", "3"], "the network knows one strength"),
        (["filter", "l0", "images/coffee.png", "nowhere/out.png"], "nowhere: expected a folder to write out.png into"),
        (["filter", "l0", "images", "images/coffee.png"], "expected a folder for the results of a folder, got a file"),
        (["filter", "l0", "images", "out", "--strength", "1", "--set", "strength=1"], "got both"),
        (["filter", "l0", "images", "out", "--strength", "nan"], "expected a number from 0"),
    ],
)
def test_what_cannot_be_ends_with_2_before_any_work(images, tmp_path, monkeypatch, words, line):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(targets.Maker, "make", lambda *_: pytest.fail("a target was made"))
    result = call(*words)
    assert result.exit_code == 2 and line in result.stderr and result.stderr.count("\n") == 1, result.stderr
    assert not (tmp_path / "out").exists()


def test_a_filter_has_a_strength_and_makes_a_folder_anew_when_asked(images, tmp_path):
    words, picture = ["filter", "l0", images, tmp_path / "out", "--strength", 0.1], tmp_path / "out" / "coffee.png"
    assert call(*words).exit_code == 0
    first = picture.read_bytes()
    picture.write_bytes(b"mine")
    assert call(*words[:4], "--set", "strength=0.1").exit_code == 0 and picture.read_bytes() == b"mine"
    assert call(*words, "--overwrite").exit_code == 0 and picture.read_bytes() == first
