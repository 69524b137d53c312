import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pnen_runtime import cli
from pnen_runtime.cli import smooth
from pnen_runtime.telling import Teller


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "in.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    return path


def run(*args):
    return CliRunner().invoke(smooth, [str(argument) for argument in args])


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_a_file_is_smoothed_and_the_result_described(model, picture, tmp_path):
    result = run(picture, tmp_path / "out.png", "--model", model("invert"), "--threads", 1)
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), 255 - pixels(picture))
    assert "onnxruntime-cpu" in result.stdout and "50x40 in " in result.stdout and " MB" in result.stdout


@pytest.mark.parametrize(
    "options", [["--tile", "whole"], ["--tile", "24", "--step", "12"], ["--backend", "onnxruntime-cpu"]]
)
def test_options_reach_the_smoother(model, picture, tmp_path, options):
    assert run(picture, tmp_path / "out.png", "--model", model(), *options).exit_code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), pixels(picture))


def test_mix_mixes(model, picture, tmp_path):
    assert run(picture, tmp_path / "out.png", "--model", model("flat"), "--mix", "0.5").exit_code == 0
    np.testing.assert_allclose(pixels(tmp_path / "out.png"), pixels(picture) / 2, atol=0.51)


def test_nothing_is_overwritten_without_force(model, picture, tmp_path):
    before = pixels(picture)
    for target in (picture, tmp_path):  # a folder takes the file under its name
        result = run(picture, target, "--model", model("invert"))
        assert result.exit_code == 2 and "--overwrite" in result.stderr
        np.testing.assert_array_equal(pixels(picture), before)
    assert run(picture, picture, "--model", model("invert"), "--force").exit_code == 0
    np.testing.assert_array_equal(pixels(picture), 255 - before)


def test_a_folder_is_smoothed_beyond_what_cannot_be_read(model, picture, tmp_path):
    source, target = tmp_path / "photos", tmp_path / "smooth" / "photos"
    (source / "more").mkdir(parents=True)
    (source / "a.png").write_bytes(picture.read_bytes())
    (source / "broken.jpg").write_bytes(b"\xff\xd8 no")
    (source / "c.JPG").write_bytes(b"")
    Image.open(picture).save(source / "c.JPG", "JPEG")
    (source / "notes.txt").write_text("hello")
    Image.new("RGB", (4, 4)).save(source / "tiny.png")
    result = run(source, target, "--model", model())
    assert result.exit_code == 1
    assert sorted(path.name for path in target.iterdir()) == ["a.png", "c.JPG"]
    assert (
        "skipped" in result.stderr
        and "notes.txt: no picture of a kind" in result.stderr
        and "more: a folder" in result.stderr
    )
    assert result.stderr.splitlines()[-1] == "Error: 2 of 4 pictures failed: broken.jpg, tiny.png"
    again = run(source, target, "--model", model("invert"))  # goes on with what is missing, and overwrites nothing
    assert again.exit_code == 1 and "skipped 2 of 4: their results are there already" in again.stderr
    assert again.stderr.splitlines()[-1].startswith("Error: 2 of 2 pictures failed: broken.jpg, tiny.png")
    np.testing.assert_array_equal(pixels(target / "a.png"), pixels(picture))


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("none/out.png", 2, "is no folder"),
        ("out.xyz", 2, "got '.xyz'"),
        ("out", 2, "got ''"),
        ("out.jpg", 1, "cannot hold"),
    ],
)
def test_a_result_that_cannot_be_written_is_one_line(model, picture, tmp_path, name, code, says):
    Image.open(picture).convert("RGBA").save(picture)
    result = run(picture, tmp_path / name, "--model", model())
    assert result.exit_code == code
    assert says in result.stderr and result.stderr.count("\n") == 1
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".onnx", ".png"]


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [(["--model", "l9"], 2, "no model 'l9'"), (["--tile", "8"], 2, "at least 16"), (["--tile", "x"], 2, '"whole"'),
     (["--backend", "tensorrt"], 2, "--engine tensorrt"), (["--backend", "onnxruntime-cuda"], 4, "has no CUDA"),
     (["--mix", "2"], 2, "mix"), (["--nonsense"], 2, "nonsense")],
)  # fmt: skip
def test_wrong_options_have_their_exit_code(model, picture, tmp_path, options, code, says):
    result = run(picture, tmp_path / "out.png", "--model", model(), *options)
    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr
    assert not (tmp_path / "out.png").exists()


def test_a_folder_that_is_not_there_is_told_before_anything_is_smoothed(model, picture, tmp_path):
    result = run(picture, tmp_path / "no" / "out.png", "--model", model())
    assert result.exit_code == 2 and "is no folder" in result.stderr and not result.stdout


@pytest.mark.parametrize("target", ["out.xyz", "out", "folder"])
def test_a_name_that_no_format_has_is_told_before_any_work(picture, tmp_path, monkeypatch, target):
    monkeypatch.setattr(cli, "Smoother", lambda *_, **__: pytest.fail("a model was opened"))
    (tmp_path / "folder").mkdir()
    odd = picture.rename(tmp_path / "in.xcf") if target == "folder" else picture
    result = run(odd, tmp_path / target)
    assert result.exit_code == 2 and "expected a name that ends in .png" in result.stderr, result.output


def test_a_foreign_model_ends_with_5(picture, tmp_path):
    (tmp_path / "foreign.onnx").write_bytes(b"not a model")
    result = run(picture, tmp_path / "out.png", "--model", tmp_path / "foreign.onnx")
    assert result.exit_code == 5 and result.stderr.count("\n") == 1


def test_a_folder_without_pictures_is_wrong_usage(model, tmp_path):
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", tmp_path / "out", "--model", model()).exit_code == 2


def test_bars_show_on_a_terminal_only(model, picture, tmp_path, monkeypatch):
    assert "rich" not in run(picture, tmp_path / "quiet.png", "--model", model()).stderr
    with Teller().bar("tiles") as nothing:
        assert nothing is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Teller().bar("tiles") as show:
        show(1, 2)
    with Teller(quiet=True).bar("tiles") as nothing:
        assert nothing is None


def test_a_12_megapixel_photo_needs_little_more_than_itself(model, tmp_path):
    path = tmp_path / "large.png"
    image = np.broadcast_to(np.arange(4000, dtype=np.uint8)[None, :, None], (3000, 4000, 3))
    Image.fromarray(np.ascontiguousarray(image)).save(path, compress_level=1)
    file = model("identity", tile="whole", config={"channels": 64, "scales": [2, 4, 8]})
    script = "from pnen_runtime.cli import smooth; smooth()"
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, path, tmp_path / "out.bmp", "--model", file, "--threads", "1"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    peak = int(result.stdout.rpartition("peak ")[2].split()[0])
    # twice 36 MB of values, twice 48 MB in Pillow, a band of tiles, and the interpreter with its libraries
    assert peak < 36 + 36 + 48 + 48 + 150
    np.testing.assert_array_equal(Image.open(tmp_path / "out.bmp"), image)
