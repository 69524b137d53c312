import errno
import os
from pathlib import Path

import numpy as np
import pytest

from pnen_runtime.files import TEMPORARY, drop_abandoned, replace_when_done, write_bytes, write_text
from pnen_runtime.image import write_image


def test_a_file_is_replaced_whole_and_keeps_its_suffix_meanwhile(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("old")
    with replace_when_done(path) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".onnx"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["model.onnx"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "model.pt"
    path.write_text("old")
    with pytest.raises(type(error)), replace_when_done(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.pt"]


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        write_bytes(tmp_path / "none" / "a.bin", b"1")
    assert caught.value.filename == str(tmp_path / "none" / "a.bin")
    with pytest.raises(IsADirectoryError):
        write_bytes(tmp_path, b"1")


@pytest.mark.skipif(os.name != "posix", reason="devices and links as POSIX has them")
def test_devices_are_not_replaced_and_links_are_followed(tmp_path):
    with pytest.raises(OSError, match="not a regular file"):
        write_text("/dev/null", "x")
    (tmp_path / "real").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "real" / "text.txt")
    write_text(tmp_path / "link.txt", "é")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real" / "text.txt").read_bytes() == "é".encode()


def test_what_killed_processes_left_half_written_goes_after_a_day_and_nothing_else(tmp_path):
    old, young = f".{'0' * 16}.tmp.png", f".{'1' * 16}.tmp.pt"
    kept = {young, ".mine.tmp.png", "picture.png", f"{'0' * 16}.tmp.png"}
    for name in (old, *kept):
        (tmp_path / name).write_bytes(b"half")
        if name != young:
            os.utime(tmp_path / name, (1, 1))
    drop_abandoned(tmp_path)
    drop_abandoned(tmp_path / "missing")
    assert set(os.listdir(tmp_path)) == kept
    with replace_when_done(tmp_path / "a.txt") as temporary:
        assert TEMPORARY.match(temporary.name)
        temporary.write_text("text")


def test_where_nothing_may_be_deleted_the_failure_still_names_the_file(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OSError, match="Read-only") as caught:
        write_bytes(tmp_path / "model.onnx", b"data")
    assert caught.value.filename == str(tmp_path / "model.onnx")


def test_a_new_file_has_what_the_umask_leaves_and_a_replaced_one_keeps_its_mode(tmp_path):
    path = tmp_path / "model.onnx"
    before = os.umask(0o027)
    try:
        write_bytes(path, b"new")
    finally:
        os.umask(before)
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o640
    for mode in (0o600, 0o664, 0o400) if os.name == "posix" else (0o666,):
        path.chmod(mode)
        write_bytes(path, b"%o" % mode)
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"%o" % mode, mode)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.skipif(os.name != "posix", reason="modes as POSIX has them")
def test_a_picture_that_is_replaced_keeps_its_mode(tmp_path, suffix):
    path = tmp_path / f"picture.{suffix}"
    write_image(path, np.full((8, 8, 3), 7, np.uint8))
    path.chmod(0o600)
    write_image(path, np.full((8, 8, 3), 8, np.uint8))
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name != "posix", reason="owners as POSIX has them")
def test_a_group_that_cannot_be_handed_on_lets_no_other_one_in(tmp_path, monkeypatch):
    path, asked = tmp_path / "secret.bin", []
    write_bytes(path, b"old")
    path.chmod(0o664)
    own = Path.stat

    def of_another(file, **settings):
        found = own(file, **settings)
        if file != path:
            return found
        values = list(found)
        values[4:6] = found.st_uid, found.st_gid + 1
        return os.stat_result(values)

    def refuse(_path, user, group):
        asked.append((user, group))
        raise PermissionError

    monkeypatch.setattr(Path, "stat", of_another)
    monkeypatch.setattr(os, "chown", refuse)
    write_bytes(path, b"new")
    monkeypatch.undo()
    assert asked and path.stat().st_mode & 0o777 == 0o644
