"""A user's own function as the filter that a network learns: found, checked, cached, recorded, not run unasked."""

import json
import sys

import numpy as np
import pytest

from pnen_runtime.errors import PnenError, UsageError
from pnen_train.data.own_filter import OwnMaker, with_source
from pnen_train.data.own_source import find_function
from pnen_train.data.tasks import channels_of, resolve_target, task_of

pytestmark = pytest.mark.usefixtures("working_folder")
DARKER = "def darker(image):\n    return image / 2\n"
FADED = "def faded(image, strength=0.1):\n    return image * (1 - strength)\n"


def maker_of(folder, name, code, **settings):
    (folder / f"{name.partition(':')[0]}.py").write_text(code)
    target = with_source(resolve_target({"function": name} | settings), [folder])
    return OwnMaker.in_one_of([folder], target, folder / "cache")


def test_targets_are_what_the_function_gives_and_are_made_once_for_a_source(tmp_path, photo):
    counted = "calls = []\n" + DARKER.replace("    return", "    calls.append(image.dtype)\n    return")
    maker, image = maker_of(tmp_path, "mine:darker", counted), photo("coffee")
    expected = np.rint(image / 2).astype(np.uint8)
    for _ in range(2):
        np.testing.assert_allclose(maker.target(image), expected, atol=1)
    assert sys.modules["mine"].calls == [np.float32]
    note = json.loads(next((tmp_path / "cache" / "mine.darker").glob("*.json")).read_text())
    assert note["function"] == "mine:darker" and note["source"] == maker.own.sha256
    other = maker_of(tmp_path, "mine:darker", DARKER.replace("2", "4"))
    np.testing.assert_allclose(other.target(image), image / 4, atol=1)
    assert len(list((tmp_path / "cache" / "mine.darker").glob("*.png"))) == 2


def test_a_changed_file_that_the_function_imports_is_another_source(tmp_path, photo):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("from .factor import FACTOR\n")
    hashes = []
    for factor in ("0.5", "0.125"):
        (tmp_path / "parts" / "factor.py").write_text(f"FACTOR = {factor}\n")
        maker = maker_of(tmp_path, "whole:dim", "import parts\n\n\ndef dim(image):\n    return image * parts.FACTOR\n")
        hashes.append(maker.own.sha256)
        np.testing.assert_allclose(maker.target(photo("coffee")), photo("coffee") * float(factor), atol=1)
    assert hashes[0] != hashes[1]


def test_a_strength_reaches_the_function_and_an_adjustable_target_has_one_of_each(tmp_path, images):
    (tmp_path / "fade.py").write_text(FADED)
    target = resolve_target({"function": "fade:faded", "strength": 0.5, "strengths": [0.25, 0.5, 0.75]})
    assert channels_of(target) == 3
    task = task_of(with_source(target, [tmp_path]), folders=[tmp_path])
    image, targets = task.scored([images / "coffee.png"], 16, None)[0]
    for strength, made in zip(task.strengths, targets, strict=True):
        np.testing.assert_allclose(made, image * (1 - strength), atol=1)


@pytest.mark.parametrize(
    ("code", "settings", "line"),
    [
        (None, {}, "expected mine.py in"),
        ("def f(image):\n    return (\n", {}, "mine.py:2: expected Python"),
        ("def g(image):\n    return image\n", {}, r"expected `def f\(image\)` in .*mine.py, got functions g"),
        ("from numpy import sqrt as f\n", {}, "got functions none; wrap in one what is imported"),
        ("f = abs\n", {}, "got functions none"),
        (
            "\ndef f():\n    return 1\n",
            {},
            r"mine.py:2: expected a function that can be called as f\(image\), got f\(\)",
        ),
        ("def f(image, size):\n    return image\n", {}, r"mine.py:1: .* got f\(image, size\)"),
        ("def f(image):\n    return image\n", {"strength": 1}, r"called as f\(image, strength\), got f\(image\)"),
        ("def f(image, strength):\n    return image\n", {}, r"got f\(image, strength\); set strength in \[target\]"),
        ("def f(image):\n    return image\n", {"source": "0" * 64}, "mine.py:1: expected the source of mine:f that"),
    ],
    ids=str,
)
def test_a_function_that_cannot_be_is_refused_before_it_is_run(tmp_path, code, settings, line):
    if code is not None:
        (tmp_path / "mine.py").write_text(f"{code}")
    with pytest.raises(UsageError, match=line):
        with_source(resolve_target({"function": "mine:f"} | settings), [tmp_path])
    assert "mine" not in sys.modules


@pytest.mark.parametrize("module", ["json", "numpy", "math"])
def test_a_file_with_the_name_of_an_installed_module_is_refused(tmp_path, module):
    (tmp_path / f"{module}.py").write_text(DARKER)
    with pytest.raises(UsageError, match="rename it"):
        find_function(f"{module}:darker", [tmp_path])


@pytest.mark.parametrize(
    "name", ["mine", "mine:", ":f", "mine.py:f", "/tmp/mine:f", "a b:f", "mine:f:g", 3, "", [], "é" * 201]
)
@pytest.mark.parametrize("more", [{}, {"filter": "l0"}, {"sigma": 3}, {"strength": -1}, {"strengths": [1, 2]}])
def test_a_target_that_names_no_function_or_what_it_does_not_take_is_refused(name, more):
    named = {"function": name if more == {} or name == "mine.py:f" else "mine:f"} | more
    if named == {"function": "mine.py:f"}:  # may be a module py in a folder mine
        return
    with pytest.raises(UsageError, match="target"):
        resolve_target(named)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("1 / 0", "mine.py:5: f failed: ZeroDivisionError: division by zero"),
        ("helper(image)", "mine.py:2: f failed: ValueError: odd"),
        ("np.linalg.inv(image)", "mine.py:5: f failed: LinAlgError"),
        ("raise SystemExit(3)", "mine.py:5: f failed: SystemExit: 3"),
        ("None", "mine.py:4: expected f to give back floats .* got nothing: is a return missing"),
        ("3.0", "mine.py:4: .*got float"),
        ("(255 * image).astype(np.uint8)", "got uint8; divide whole numbers"),
        ("image + 0j", "got complex64"),
        ("image[1:]", r"of shape \(40, 48, 3\), got shape \(39, 48, 3\)"),
        ("image[..., 0]", r"got shape \(40, 48\)"),
        ("image * np.nan", "not finite"),
        ("image * 255", r"got values from \S+ to \S+; np.clip"),
        ("image - 1", r"got values from -\S+ to \S+; np.clip"),
    ],
    ids=str,
)
def test_what_fails_in_the_function_is_one_line_with_its_place(tmp_path, photo, body, line):
    body = body if body.startswith("raise") else f"return {body}"
    code = f"def helper(image):\n    raise ValueError('odd')\nimport numpy as np\ndef f(image):\n    {body}\n"
    with pytest.raises(PnenError, match=line) as error:
        maker_of(tmp_path, "mine:f", code).target(photo("coffee"))
    assert error.value.exit_code == 1 and not (tmp_path / "cache").exists()


def test_a_module_that_cannot_be_imported_is_named_by_its_line(tmp_path, photo):
    with pytest.raises(PnenError, match=r"mine.py:2: f failed: ModuleNotFoundError: No module named 'nowhere_at_all'"):
        maker_of(tmp_path, "mine:f", "\nimport nowhere_at_all\ndef f(image):\n    return image\n").target(
            photo("coffee")
        )
    assert "mine" not in sys.modules


def test_rounding_beyond_the_range_is_cut_off(tmp_path):
    image = np.array([0, 255] * 24, np.uint8).reshape(4, 4, 3)
    code = "def f(image):\n    return image * 1.0008 - 0.0004\n"
    np.testing.assert_array_equal(maker_of(tmp_path, "mine:f", code).target(image), image)
