"""What is asked of an engine is looked at before minutes of export."""

from enum import IntEnum

import click.testing
import pytest

from pnen_export import engine_command
from pnen_export.cli import main
from pnen_runtime.errors import BackendMissing


class Version:
    """A builder, as far as it is asked what it can do."""

    def __init__(self, name: str, version: str):
        self.__name__, self.__version__ = name, version

    HardwareCompatibilityLevel = IntEnum("HardwareCompatibilityLevel", ["NONE", "AMPERE_PLUS"])


BUILDERS = {"rtx": Version("tensorrt_rtx", "1.7"), "tensorrt": Version("tensorrt", "8.6.1"), "none": None}


@pytest.fixture
def run(monkeypatch, saved, network):
    """run(builder, *options) → the result for a checkpoint, on a machine that has this builder; no export begins."""

    def call(builder, *options):
        def find(wanted):
            if BUILDERS[builder] is None:
                raise BackendMissing("nothing here")
            return BUILDERS[builder]

        monkeypatch.setattr(engine_command, "find_tensorrt", find)
        monkeypatch.setattr("pnen_export.export.export", lambda *_, **__: pytest.fail("the export began"))
        path = saved(network("without block"))
        result = click.testing.CliRunner().invoke(main, [str(path), *options])
        assert [file.name for file in path.parent.iterdir()] == ["model.pt"]
        return result

    return call


@pytest.mark.parametrize("engine", [[], ["--engine", "auto"], ["--engine", "rtx"]])
@pytest.mark.parametrize("builder", ["rtx", "none"])
@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--shapes", "512", "expected three sizes MIN,OPT,MAX"),
        ("--shapes", "16x16,9x9,96x96", "--shapes 16x16,9x9,96x96: expected growing sizes"),
        ("--shapes", "8x8,96x96,96x96", "expected sizes from 1x16x16 on"),
        ("--tiles", "100000", "--tiles 100000: 100000x"),
    ],
)
def test_sizes_that_cannot_be_end_with_2_before_the_export(run, engine, builder, option, value, says):
    result = run(builder, option, value, *engine)
    if builder == "none" and engine == ["--engine", "rtx"] and value != "512":
        assert result.exit_code == 4 and "nothing here" in result.stderr
    else:
        assert result.exit_code == 2 and says in result.stderr, result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("engine", ["tensorrt", "rtx"])
def test_a_builder_that_is_not_there_ends_with_4_before_the_export(run, engine):
    assert run("none", "--engine", engine).exit_code == 4


@pytest.mark.parametrize(
    ("builder", "options", "says"),
    [
        ("rtx", ["--hardware", "ampere+"], "neither --hardware nor --version-compatible"),
        ("rtx", ["--version-compatible"], "neither --hardware nor --version-compatible"),
        ("tensorrt", ["--hardware", "same-capability"], "TensorRT 8.6.1 builds no engines for 'same-capability'"),
        ("none", ["--engine", "none", "--build-limit", "3"], "--build-limit is about an engine"),
    ],
)
def test_what_a_version_has_not_ends_with_2_before_the_export(run, builder, options, says):
    result = run(builder, *options)
    assert result.exit_code == 2 and says in result.stderr and result.stderr.count("\n") == 1
