"""What a training record says of the software."""

import shutil
import subprocess

import pytest

from pnen_train import versions as module
from pnen_train.versions import versions


def git(folder, *args):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, "-C", str(folder), *args], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_checkout_names_its_commit_and_says_whether_files_were_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    git(tmp_path, "init")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    git(tmp_path, "tag", "-a", "v1", "-m", "v1")
    head = subprocess.run(
        ["git", "-C", str(tmp_path), "rev-parse", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    assert versions()["commit"] == head
    (tmp_path / "file").write_text("two")
    assert versions()["commit"] == f"{head}-dirty"


def test_an_installed_package_names_no_commit_not_even_of_the_repository_around_it(tmp_path, monkeypatch):
    inner = tmp_path / "site-packages"
    inner.mkdir()
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(module, "ROOT", inner)
    assert set(versions()) == {"torch", "numpy", "pnen"}
    monkeypatch.setattr(module, "ROOT", tmp_path)  # broken, or git is missing
    assert "commit" not in versions()
