"""What is built of a clone: who smooths gets no checkpoints, and a source distribution is all of it."""

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
BUNDLED = ROOT / "pnen_train" / "bundled"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Both wheels and the source, of a copy: building leaves files beside its sources."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=False).stdout
    if not listed:
        pytest.skip("not a clone: what belongs to it is known by git")
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    names = [name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]
    for name in names:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "build", "-q", "--no-isolation", "-o", str(out)]
    for words in (["--sdist", "--wheel", str(copy)], ["--wheel", str(copy / "pnen_train" / "bundled")]):
        subprocess.run([*build, *words], check=True, cwd=out, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return out, names


def wheel(built, name):
    return zipfile.ZipFile(next(built[0].glob(f"{name}-*.whl")))


def test_who_smooths_gets_no_checkpoints_but_all_that_runs(built):
    inside = set(wheel(built, "pnen").namelist())
    wanted = {name for name in built[1] if re.match(r"pnen_\w+/", name) and not name.startswith("pnen_train/bundled/")}
    assert {name for name in inside if ".dist-info/" not in name} == wanted
    assert not [name for name in inside if name.endswith(".pt")]
    assert "pnen_runtime/bundled/l0.onnx" in inside


def test_checkpoints_are_a_package_that_is_found(built, tmp_path):
    with wheel(built, "pnen_checkpoints") as apart, wheel(built, "pnen") as package:
        assert {Path(name).name for name in apart.namelist() if name.endswith(".pt")} == {
            path.name for path in BUNDLED.glob("*.pt")
        }
        apart.extractall(tmp_path / "apart")
        package.extractall(tmp_path / "package")
    code = "from pnen_train.checkpoint import load_checkpoint as load; print(load('wmf-fast').network)"
    for paths, output in (
        (["package", "apart"], "pnen\n"),
        (["package"], "pip install PATH_TO_A_CLONE/pnen_train/bundled"),
    ):
        path = [str(tmp_path / name) for name in paths]
        words = [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"]
        done = subprocess.run(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert output in done.stdout, done.stdout


def test_a_source_distribution_is_all_that_a_clone_is(built):
    with tarfile.open(next(built[0].glob("*.tar.gz"))) as source:
        inside = {name.partition("/")[2] for name in source.getnames()}
    assert set(built[1]) <= inside


def test_the_metadata_says_who_and_what_for_and_links_to_nothing_that_is_not_there(built):
    with wheel(built, "pnen") as package:
        name = next(name for name in package.namelist() if name.endswith("/METADATA"))
        about = message_from_bytes(package.read(name))
    assert about["Author"] == "PNEN contributors" and about["License-Expression"] == "Apache-2.0"
    text = about.get_payload()
    assert "pnen-smooth photo.jpg smooth.png" in text and "| weighted median |" in text
    assert not re.findall(r"\]\((?!\w+:)", text) and "![" not in text


def test_checkpoints_and_package_have_one_version():
    versions = [re.search(r'^version = "(.*)"', (folder / "pyproject.toml").read_text("utf-8"), re.M)
                for folder in (ROOT, BUNDLED)]  # fmt: skip
    assert versions[0][1] == versions[1][1]


@pytest.mark.parametrize("package", ["pnen_train", "pnen_export"])
def test_an_older_python_is_told_in_one_line(package, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    begin = __import__(f"{package}.entry", fromlist=["entry"])
    with pytest.raises(SystemExit) as ended:
        getattr(begin, package.removeprefix("pnen_"))()
    said = capsys.readouterr().err
    assert ended.value.code == 4 and "expected Python 3.11 or newer, found 3.10" in said and said.count("\n") == 1


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_an_extra_was_resolved_to_is_kept(extra):
    locked = {
        line.split("==")[0]: line for line in (ROOT / "constraints" / f"{extra}.txt").read_text("utf-8").splitlines()
    }
    assert all("==" in line for line in locked.values())
    own = [requirement for requirement in EXTRAS[extra] if not requirement.startswith("pnen[")]
    assert {re.match(r"[\w-]+", requirement)[0].lower() for requirement in own} <= set(locked)
