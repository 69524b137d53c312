"""`pnen-smooth --filter`: what works for models works for filters, and what means nothing to them is refused."""

import io
import re
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from skimage import data

from pnen_runtime import cli, filters
from pnen_runtime.cli import smooth
from pnen_runtime.filters.by_name import FILTERS
from pnen_runtime.filters.command import HINT, SHARED, list_filters

PAGE = Path(__file__).parents[2] / "docs" / "models" / "comparison.md"
PHOTO = np.ascontiguousarray(data.coffee()[100:140, 120:168])


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "in.png"
    Image.fromarray(PHOTO).save(path)
    return path


@pytest.fixture
def _no_models(monkeypatch):
    monkeypatch.setattr(cli, "Smoother", lambda *_, **__: pytest.fail("a model was opened"))


def run(*words, stdin=None):
    return CliRunner().invoke(smooth, [str(word) for word in words], input=stdin)


def pixels(path):
    return np.asarray(Image.open(path))


@pytest.mark.usefixtures("_no_models")
@pytest.mark.parametrize(("name", "strength"), [("l0", 0.05), ("wmf", 20.0), ("sd", 5.0), ("l0", None), ("wmf", None)])
def test_the_result_is_the_filters_own(picture, tmp_path, name, strength):
    result = run("--filter", name, *([] if strength is None else ["--strength", strength]), picture, tmp_path / "o.png")
    assert result.exit_code == 0, result.output
    own = {} if strength is None else {"sigma" if name == "wmf" else "strength": strength}
    np.testing.assert_array_equal(pixels(tmp_path / "o.png"), getattr(filters, name)(PHOTO, **own))
    first, second = result.stdout.splitlines()
    assert "itself" in first and (strength is None or f" {strength:g} " in first) and "48x40 in " in second


@pytest.mark.usefixtures("_no_models")
@pytest.mark.parametrize(
    ("options", "settings"), [(["--mix", "0.5"], {"mix": 0.5}), (["--detail", "1"], {"detail": 1})]
)
def test_mix_and_detail(picture, tmp_path, options, settings):
    assert run("--filter", "l0", *options, picture, tmp_path / "o.png").exit_code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "o.png"), filters.l0(PHOTO, **settings))


@pytest.mark.usefixtures("_no_models")
def test_folders_trees_formats_and_what_is_there_already(picture, tmp_path):
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name in ("a.png", "more/b.png"):
        (tmp_path / "photos" / name).write_bytes(picture.read_bytes())
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    words = ["--filter", "l0", "-r", "--format", "webp", tmp_path / "photos", tmp_path / "out"]
    result = run(*words)
    assert result.exit_code == 1 and "1 of 3 pictures failed: broken.png" in result.stderr
    for name in ("a.webp", "more/b.webp"):
        np.testing.assert_array_equal(pixels(tmp_path / "out" / name), filters.l0(PHOTO))
    assert "skipped 2 of 3" in run(*words).stderr
    assert run("--filter", "l0", picture, picture).exit_code == 2  # nothing is overwritten


@pytest.mark.usefixtures("_no_models")
def test_pipes(picture):
    result = run("--filter", "l0", "-", "-", stdin=picture.read_bytes())
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(pixels(io.BytesIO(result.stdout_bytes)), filters.l0(PHOTO))


@pytest.mark.usefixtures("_no_models")
def test_an_animation_and_a_picture_too_small_for_networks(tmp_path):
    frames = [Image.fromarray(PHOTO), Image.fromarray(PHOTO[::-1])]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=[100, 200])
    Image.fromarray(PHOTO[:5, :7]).save(tmp_path / "small.png")
    assert "2 frames" in run("--filter", "l0", tmp_path / "a.png", tmp_path / "b.png").stdout
    with Image.open(tmp_path / "b.png") as back:
        back.seek(1)
        np.testing.assert_array_equal(np.asarray(back.convert("RGB")), filters.l0(PHOTO[::-1]))
    assert run("--filter", "l0", tmp_path / "small.png", tmp_path / "o.png").exit_code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "o.png"), filters.l0(PHOTO[:5, :7]))


VALUES = {"--strength-map": "in.png", "--backend": "auto", "--model": "l0", "--provider-option": "a=b"}
OF_MODELS = [option for option in smooth.params
             if isinstance(option, click.Option) and option.expose_value and option.name not in SHARED]  # fmt: skip


def test_these_are_refused_at_least():
    known = {name for option in OF_MODELS for name in option.opts}
    assert known >= {"--model", "--tile", "--step", "--strength-map", "--backend", "--threads", "--memory", "--rebuild",
                     "--allow-host-code"}  # fmt: skip


@pytest.mark.usefixtures("_no_models")
@pytest.mark.parametrize("option", [max(option.opts, key=len) for option in OF_MODELS])
def test_options_of_models_are_refused(picture, tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    flag = next(one.is_flag for one in OF_MODELS if option in one.opts)
    words = [option] if flag else [option, VALUES.get(option, "64")]
    result = run("--filter", "l0", *words, "in.png", "out.png")
    assert result.exit_code == 2 and f"expected no {option} beside --filter" in result.stderr
    assert result.stderr.count("\n") == 1 and not result.stdout and not (tmp_path / "out.png").exists()


@pytest.mark.usefixtures("_no_models")
@pytest.mark.parametrize(("options", "says"), [
    (["--filter", "l1"], "'l1' is not one of"),
    (["--filter", "l0", "--strength", "auto"], "a number with --filter, got auto"),
    (["--filter", "l0", "--strength", "0"], "strength above 0"),
    (["--filter", "sd", "--strength", "-1"], "expected a number from 0 for strength of filter sd"),
    (["--filter", "wmf", "--strength", "nan"], "expected a number from 0 for sigma of filter wmf"),
    (["--filter", "wmf", "--strength", "0"], "sigma of 0.01 or more"),
    (["--filter", "l0", "--mix", "0.5", "--detail", "1"], "no mix beside it"),
])  # fmt: skip
def test_what_cannot_be_is_one_line_before_anything_is_made(picture, tmp_path, options, says):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "in.png").write_bytes(picture.read_bytes())
    result = run(*options, tmp_path / "photos", tmp_path / "out")
    assert result.exit_code == 2 and says in result.stderr and result.stderr.count("\n") == 1, result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "missing"), [("wmf", "numba"), ("sd", "numba"), ("sd", "skimage.color")])
def test_a_missing_extra_ends_with_4_and_its_name(picture, tmp_path, monkeypatch, name, missing):
    monkeypatch.delitem(sys.modules, "pnen_runtime.filters.compiled", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    result = run("--filter", name, picture, tmp_path / "out.png")
    assert result.exit_code == 4 and 'the extra "filters"' in result.stderr and result.stderr.count("\n") == 1
    assert "pip install numba scikit-image" in result.stderr and not (tmp_path / "out.png").exists()
    assert run("--filter", "l0", picture, tmp_path / "out.png").exit_code == 0


def test_the_list_says_which_there_are_and_when_to_take_them():
    listed = run("--list").stdout
    assert listed.endswith(list_filters() + "\n") and HINT in listed
    for name in FILTERS:
        assert re.search(rf"^{name} .* itself", listed, re.MULTILINE)


@pytest.mark.parametrize(("target", "name"), [("L0, λ = 0.02", "l0"), ("L0, λ = 0.2", "l0"), ("WMF, σ = 50", "wmf"),
                                              ("SD, λ = 15", "sd")])  # fmt: skip
def test_its_figures_are_those_that_were_measured(target, name):
    section = PAGE.read_text("utf-8").split(f"\n## {target}\n")[1].split("\n## ")[0]
    rows = {cells[1].strip(): cells for cells in (line.split("|") for line in section.splitlines()) if len(cells) > 4}
    (level, seconds), exact = (cell.strip() for cell in rows[name][2:4]), rows[f"the filter itself ({name})"][3].strip()
    assert re.search(rf"{level}\s+dB\s+in\s+{seconds}\s+s\b.{{0,60}}\b{exact}\s+s\b", HINT, re.DOTALL)
