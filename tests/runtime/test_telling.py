"""What the command says and takes: -q, -v, --json, -o, --compare, --repeat, variables, completion."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pnen_runtime import Smoother, bundled_models
from pnen_runtime.cli import smooth
from pnen_runtime.comparison import GAP, side_by_side

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def run(model):
    """run(words..., kind="invert") → the finished command with a toy model."""
    return lambda *words, kind="invert", **more: CliRunner().invoke(
        smooth, [*map(str, words), "-m", str(model(kind))], **more)  # fmt: skip


def pixels(path):
    return np.asarray(Image.open(path))


def test_json_is_a_line_for_each_picture(run, photo, tmp_path):
    (tmp_path / "b.png").write_bytes(b"no picture")
    Image.fromarray(PHOTO[:, :30]).save(
        tmp_path / "c.gif", save_all=True, append_images=[Image.fromarray(PHOTO[:, 9:39])]
    )
    done = run(tmp_path, tmp_path / "out", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 1 and len(rows) == 3
    assert rows[0]["input"] == str(photo) and rows[0]["output"] == str(tmp_path / "out" / "a.png")
    assert (rows[0]["width"], rows[0]["height"]) == (50, 40) and rows[0]["seconds"] >= 0 and rows[0]["peak_mb"] > 1
    assert "b.png" in rows[1]["error"] and rows[2]["frames"] == 2


def test_one_picture_that_fails_is_a_line_of_json_too(run, tmp_path):
    (tmp_path / "b.png").write_bytes(b"no picture")
    done = run(tmp_path / "b.png", tmp_path / "out.png", "--json")
    assert done.exit_code == 1 and json.loads(done.stdout)["input"] == str(tmp_path / "b.png")
    assert json.loads(done.stdout)["error"] in done.stderr and done.stderr.count("\n") == 1


def test_json_goes_beside_a_picture_on_standard_output(run, photo):
    done = run(photo, "-", "--json")
    assert json.loads(done.stderr)["output"] == "-" and done.stdout_bytes.startswith(b"\x89PNG")


def test_quiet_says_nothing_but_what_is_wrong(run, photo, tmp_path):
    done = run(photo, tmp_path / "out.png", "-q")
    assert done.exit_code == 0 and not done.output and (tmp_path / "out.png").exists()
    assert "would be overwritten" in run(photo, tmp_path / "out.png", "-q").stderr


def test_verbose_says_what_is_decided(model, photo, tmp_path):
    code = "from pnen_runtime.cli import smooth; smooth()"
    command = [sys.executable, "-c", code, photo, "-m", model("invert"), "-v", "-o"]
    loud = subprocess.run([*command, tmp_path / "b.png"], capture_output=True, text=True)
    assert loud.returncode == 0 and "in tiles of" in loud.stderr, loud.stderr
    command.remove("-v")
    assert not subprocess.run([*command, tmp_path / "c.png"], capture_output=True, text=True).stderr


def test_output_may_be_named_by_itself(run, photo, tmp_path):
    assert run("-o", tmp_path / "out.png", photo).exit_code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), 255 - PHOTO)
    assert run(photo).exit_code == 2 and "expected IN and OUT, got one name" in run(photo).stderr
    gone = run(tmp_path / "gone.png", tmp_path / "x.png")
    assert gone.exit_code == 2 and "gone.png: there is no such file" in gone.stderr


def test_patterns_are_filled_in_where_no_shell_did(run, photo, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "b.png")
    assert run(tmp_path / "*.png", tmp_path / "out").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16", "P", "CMYK"])
def test_compare_shows_both(run, tmp_path, mode):
    given = Image.fromarray(PHOTO).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        given = Image.fromarray(np.asarray(given).astype(np.uint16) * 257)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    given.save(path)
    done = run(path, tmp_path / "out.tif", "--compare", tmp_path / "both.png")
    assert done.exit_code == 0, done.output
    both = pixels(tmp_path / "both.png").astype(int)
    assert both.shape == (40, 100 + GAP, 3) and (both[:, 50 : 50 + GAP] == 255).all()
    level = 1 if mode == "I;16" else 0
    assert np.abs(both[:, :50] + both[:, 50 + GAP :] - 255).max() <= level  # the network inverts
    again = run(path, tmp_path / "out2.tif", "--compare", tmp_path / "both.png")
    assert again.exit_code == 2 and "both.png would be overwritten" in again.stderr


def test_what_is_enlarged_is_compared_at_its_size():
    small = Image.fromarray(PHOTO)
    assert side_by_side(small, small.resize((100, 80))).size == (200 + GAP, 80)


def test_repeat_smooths_the_result_again(run, photo, tmp_path):
    for times in (1, 2, 3):
        assert run(photo, tmp_path / f"{times}.png", "--repeat", times, "--mix", 0.5).exit_code == 0
    once = pixels(tmp_path / "1.png")
    Image.fromarray(once).save(tmp_path / "again.png")
    run(tmp_path / "again.png", tmp_path / "twice.png", "--mix", 0.5)
    np.testing.assert_array_equal(pixels(tmp_path / "2.png"), pixels(tmp_path / "twice.png"))


@pytest.mark.parametrize("words", [["--repeat", "2", "--detail", "1"], ["--compare", "b.xyz"]])
def test_what_does_not_go_together_is_wrong_usage(run, photo, tmp_path, words):
    done = run(photo, tmp_path / "out.png", *words)
    assert done.exit_code == 2 and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("words", [["--repeat", "2"], ["--strength", "3"]])
def test_an_enlarger_takes_neither(photo, tmp_path, words):
    done = CliRunner().invoke(smooth, [str(photo), str(tmp_path / "out.png"), "-m", "enlarge2", *words])
    assert done.exit_code == 2 and "with a model that enlarges" in done.stderr


def test_variables_of_the_environment_are_options(model, photo, tmp_path):
    environment = {"PNEN_SMOOTH_MODEL": str(model("invert")), "PNEN_SMOOTH_QUIET": "1"}
    done = CliRunner().invoke(smooth, [str(photo), str(tmp_path / "out.png")], env=environment)
    assert done.exit_code == 0 and not done.output
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), 255 - PHOTO)


def test_shells_complete_the_names_of_models(tmp_path):
    code = "from pnen_runtime.cli import smooth; smooth(prog_name='pnen-smooth')"
    environment = os.environ | {"_PNEN_SMOOTH_COMPLETE": "bash_complete", "COMP_WORDS": "pnen-smooth -m l0",
                                "COMP_CWORD": "2"}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    found = [line.partition(",")[2] for line in done.stdout.splitlines()]
    assert found == [name for name in bundled_models() if name.startswith("l0")]


def test_a_notebook_shows_what_runs(model):
    with Smoother(model("invert")) as smoother:
        shown = smoother.info._repr_html_()
        assert smoother._repr_html_() == shown
    assert shown.startswith("<table>") and "onnxruntime-cpu" in shown and shown.count("<tr>") == 7
