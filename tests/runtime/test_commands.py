import errno

import click
import pytest
from click.testing import CliRunner

from pnen_runtime import errors
from pnen_runtime.commands import Command, Group

FAILURES = [
    (errors.PnenError("it broke"), 1, "Error: it broke\n"),
    (errors.UsageError("no such thing"), 2, "Error: no such thing\n"),
    (errors.ParityError("off by\n one"), 3, "Error: off by one\n"),
    (errors.BackendMissing("install it"), 4, "Error: install it\n"),
    (errors.EngineError("foreign"), 5, "Error: foreign\n"),
    (OSError(errno.ENOSPC, "No space left on device", "a.png"), 1, "Error: a.png: No space left on device\n"),
    (PermissionError(errno.EACCES, "Permission denied", "b"), 1, "Error: b: Permission denied\n"),
    (MemoryError(), 1, "Error: not enough memory\n"),
    (KeyboardInterrupt(), 130, "Error: interrupted\n"),
    (ZeroDivisionError("oops"), 1, "Error: unexpected ZeroDivisionError: oops (--debug shows where)\n"),
]


def commands(error):
    def fail():
        raise error

    group = Group("tool", commands=[Command("fail", callback=fail)])
    return [(Command("fail", callback=fail), []), (group, ["fail"])]


@pytest.mark.parametrize(("error", "code", "line"), FAILURES, ids=lambda value: type(value).__name__)
def test_a_failure_is_one_line_and_its_exit_code(error, code, line):
    for command, args in commands(error):
        result = CliRunner().invoke(command, args)
        assert (result.exit_code, result.stderr, result.stdout) == (code, line, "")


@pytest.mark.parametrize("args", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_shows_the_traceback_once_and_keeps_the_exit_code(args):
    group = commands(errors.EngineError("foreign"))[1][0]
    result = CliRunner().invoke(group, args)
    assert result.exit_code == 5
    assert result.stderr.count("Traceback") == 1 and result.stderr.endswith("Error: foreign\n")


def test_wrong_usage_is_one_line_help_and_version_are_as_click_has_them():
    @click.group(cls=Group)
    def tool():
        """A tool."""

    @tool.command()
    @click.option("--count", type=int)
    def work(count):
        """Work."""

    for args, place in (
        (["work", "--count", "x"], "tool work"),
        (["work", "--nonsense"], "tool work"),
        (["rest"], "tool"),
    ):
        wrong = CliRunner().invoke(tool, args, prog_name="tool")
        assert wrong.exit_code == 2 and not wrong.stdout
        assert wrong.stderr.startswith("Error: ") and wrong.stderr.endswith(f"({place} --help shows the usage)\n")
        assert wrong.stderr.count("\n") == 1
    alone = CliRunner().invoke(tool, [])
    assert alone.exit_code == 2 and "Commands:" in alone.output  # all it can do
    for args in (["-h"], ["work", "-h"]):
        assert "--debug" in CliRunner().invoke(tool, args).stdout
    assert CliRunner().invoke(tool, ["--version"], prog_name="tool").stdout.startswith("tool ")
    assert CliRunner().invoke(tool, ["work"]).exit_code == 0


def test_of_a_failure_without_end_the_ends_are_shown():
    error = errors.UsageError("expected a number, got " + "x" * 5000 + "; change it")
    result = CliRunner().invoke(Command("fail", callback=lambda: (_ for _ in ()).throw(error)), [])
    assert result.exit_code == 2 and len(result.stderr) < 2000
    assert result.stderr.startswith("Error: expected a number, got xxx")
    assert result.stderr.endswith("x; change it\n") and " [3,234 characters left out] " in result.stderr


def test_where_nobody_can_be_told_the_exit_code_still_tells(monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EIO, "a terminal that was closed")

    def fail():
        raise KeyboardInterrupt

    monkeypatch.setattr("click.exceptions.echo", refuse)
    assert CliRunner().invoke(Command("fail", callback=fail), []).exit_code == 130
