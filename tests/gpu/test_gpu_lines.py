"""Lines of the proof that a machine without a GPU can show: the cache of engines, and the CUDA layer's own tests."""

import pytest
from gpu_checks import device, engines
from gpu_checks.lab import Lab
from gpu_checks.subject import Skipped, Subject, Wrong

from pnen_export import engine_cache

PLAYED = {
    "conftest.py": "def pytest_addoption(parser):\n    parser.addoption('--real-cuda', action='store_true')\n",
    "test_passes.py": "def test_flag(request):\n    assert request.config.getoption('--real-cuda')\n",
    "test_skips.py": "import pytest\ndef test_skipped():\n    pytest.skip('no card')\n",
    "test_fails.py": "def test_wrong():\n    assert 1 == 2\n",
}


@pytest.fixture
def played(tmp_path, monkeypatch):
    """played("passes", ...) → own tests with these outcomes."""

    def write(*outcomes):
        for name in ("conftest.py", *(f"test_{outcome}.py" for outcome in outcomes)):
            (tmp_path / name).write_text(PLAYED[name])
        monkeypatch.setattr(device, "TESTS", tmp_path)

    return write


def test_own_tests_that_pass_are_counted(played):
    played("passes", "skips")
    assert device.own_tests(None, Subject("cuda")) == {"passed": 1, "skipped": 1}


def test_own_tests_that_fail_or_show_nothing_are_wrong(played):
    played("skips")
    with pytest.raises(Wrong, match="1 skipped"):
        device.own_tests(None, Subject("cuda"))
    played("passes", "fails")
    with pytest.raises(Wrong, match="1 failed, 1 passed, 1 skipped.*test_fails") as caught:
        device.own_tests(None, Subject("cuda"))
    assert len(caught.value.figures["rows"]) == caught.value.figures["failed"] == 1


def test_own_tests_that_are_not_here_are_skipped(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "TESTS", tmp_path / "nowhere")
    with pytest.raises(Skipped, match="nowhere is not here"):
        device.own_tests(None, Subject("cuda"))
    monkeypatch.setattr(device, "NEEDED", ("pytest", "no_such_package"))
    with pytest.raises(Skipped, match="not installed: no_such_package"):
        device.own_tests(None, Subject("cuda"))


@pytest.mark.rtx
def test_an_engine_that_is_built_anew_did_not_come_out_of_the_cache(tiny, tmp_path, monkeypatch):
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lab, subject = Lab(tiny[0]), Subject("tensorrt-rtx", "tiny", "fp32")
    assert engines.cache(lab, subject)["seconds"] > 0
    monkeypatch.setattr(engine_cache, "find_engine", lambda *_: None)
    with pytest.raises(Wrong, match="did not come out of the cache"):
        engines.cache(lab, subject)
