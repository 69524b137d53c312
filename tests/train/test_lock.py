"""Two runs in one folder: the second is refused, and what a dead one left is no hindrance."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from pnen_runtime.errors import UsageError
from pnen_train.cli import main
from pnen_train.training import lock
from pnen_train.training.lock import LOCK, alone_in


def test_a_folder_has_one_run_at_a_time_and_is_left_as_it_was(tmp_path):
    folder = tmp_path / "runs" / "a"
    with alone_in(folder):
        for _ in range(2):
            with pytest.raises(UsageError, match=r"run is in this folder now \(process \d+\); wait"), alone_in(folder):
                pytest.fail("two runs at once")
        with alone_in(tmp_path / "runs" / "b"):
            pass
    with alone_in(folder):
        (folder / "last.pt").touch()
    assert [path.name for path in folder.iterdir()] == ["last.pt"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]


def test_a_second_command_is_refused_in_one_line(images, recipe_file, tmp_path):
    words = ["run", recipe_file(), images, "--out", tmp_path / "run"]
    with alone_in(tmp_path / "run"):
        result = CliRunner().invoke(main, list(map(str, words)))
        assert result.exit_code == 2 and result.stderr.count("\n") == 1, result.stderr
        assert f"{tmp_path / 'run'}: another pnen-train run is in this folder now" in result.stderr
    assert not (tmp_path / "run").exists()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path):
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom pnen_train.training.lock import alone_in\n"
        "with alone_in(Path(sys.argv[1])):\n    os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert done.returncode == 9 and (tmp_path / LOCK).is_file()
    with alone_in(tmp_path):
        assert (tmp_path / LOCK).is_file()


def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, caplog):
    def unable(_file):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock, "_lock", unable)
    with alone_in(tmp_path):
        assert "knows no locks" in caplog.text
