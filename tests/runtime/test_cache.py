"""The user's cache: what others could have written is never run."""

import os
from pathlib import Path

import pytest

from pnen_runtime.cache import cache_folder, kernels_file
from pnen_runtime.files import user_cache

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and modes as POSIX has them")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pnen"


def test_a_cache_is_for_its_owner_alone(home):
    assert cache_folder("kernels") == home / "kernels"
    assert (home / "kernels").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("mode", "stays"), [(0o755, True), (0o700, True), (0o775, False), (0o777, False), (0o702, False)]
)
def test_what_others_could_write_is_thrown_away(home, mode, stays):
    folder = home / "kernels"
    folder.mkdir(parents=True)
    (folder / "a.kernels").write_bytes(b"poison")
    folder.chmod(mode)
    assert cache_folder("kernels") == folder and folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "a.kernels").exists() == stays


def test_the_folder_of_somebody_else_is_not_used(home, monkeypatch):
    cache_folder("kernels")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert cache_folder("kernels") is None and kernels_file(b"plan") is None


def no_home():
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("home", ["cannot be made", "is unknown"])
def test_an_account_without_a_home_does_without_and_is_told_once_how_to_have_one(tmp_path, monkeypatch, caplog, home):
    tmp_path.joinpath("file").write_bytes(b"")
    if home == "is unknown":
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(Path, "home", no_home)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "none"))
    name = f"kernels {home}"
    assert cache_folder(name) is None and cache_folder(name) is None
    (line,) = caplog.messages
    assert line.startswith("the cache ") and str(user_cache(name)) in line and "XDG_CACHE_HOME=FOLDER chooses" in line


def test_kernels_go_by_the_digest_of_the_plan_and_the_oldest_go(home):
    names = [kernels_file(b"%d" % number) for number in range(40)]
    assert len(set(names)) == 40
    for age, file in enumerate(names):
        file.write_bytes(b"")
        os.utime(file, (age, age))
    assert kernels_file(b"0") == names[0] and len(list((home / "kernels").iterdir())) == 32
