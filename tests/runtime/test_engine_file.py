"""Engine files: their cards, what does not fit a machine, and the command that builds them again."""

import os
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from pnen_export.cli import main
from pnen_runtime import EngineError, UsageError
from pnen_runtime.backends import open_backend
from pnen_runtime.cuda.driver import Gpu
from pnen_runtime.engine_file import misfit, prefix_digests, read_engine, rebuild, rebuild_command, sidecar

TILES, FULL_HD = [[1, 16, 16], [8, 32, 32], [8, 32, 32]], [[1, 16, 16], [1, 1080, 1920], [1, 1080, 1920]]
ADA, HOPPER = Gpu("NVIDIA L4", "8.9"), Gpu("NVIDIA H200", "9.0")
BUILT = {
    "flavour": "tensorrt",
    "version": "10.9.0.34",
    "gpu": {"name": "NVIDIA L4", "compute_capability": "8.9"},
    "profiles": [TILES],
    "options": {"hardware": "this", "version_compatible": False},
    "key_limit": 65504,
}


@pytest.fixture
def plan(tmp_path, card):
    """plan(sidecar?, **fields of the engine) → path of a file that looks like a plan, with its card inside."""

    def write(beside: bool = True, **engine: object):
        path = tmp_path / "model.fp16.engine"
        own = card(precision="fp16", target="onnx", engine=BUILT | engine)
        path.write_bytes(b"ptrt" + bytes(100) + own.to_json().encode() + b"\0{" + bytes(200))
        data = path.read_bytes()
        built = {"plan_bytes": len(data), "plan_sha256": sha256(data).hexdigest(), "seconds": 1.5,
                 "prefix_sha256": prefix_digests(data)}  # fmt: skip
        if beside:
            sidecar(path).write_text(replace(own, engine=own.engine | {"built": built}).to_json())
        return path

    return write


def test_the_sidecar_adds_to_the_card_and_a_lost_one_costs_nothing(plan):
    path = plan()
    assert read_engine(path).card.engine["built"]["seconds"] == 1.5
    sidecar(path).unlink()
    assert read_engine(path).card.engine == BUILT and read_engine(path).flavour == "tensorrt"


def test_a_sidecar_of_another_engine_is_not_believed(plan):
    path = plan()
    path.write_bytes(path.read_bytes() + b"more")
    assert read_engine(path).card.engine == BUILT
    sidecar(path).write_text("torn")
    assert read_engine(path).card.engine == BUILT


@pytest.mark.parametrize("share", [0.01, 0.2, 0.9, 0.999])
def test_a_truncated_engine_is_told_by_its_sidecar(plan, share):
    path = plan()
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(EngineError, match=r"truncated.*pnen-export .*model.fp16.onnx --engine tensorrt --tiles 8"):
        read_engine(path)


@pytest.mark.parametrize("smaller", [0, 1, 150])
def test_a_new_engine_beside_the_sidecar_of_the_one_before_is_good(plan, smaller):
    """As a kill between the two leaves it, or a copy of the engine alone."""
    path = plan()
    rest = path.read_bytes()[len(b"ptrt") + 1 :]
    path.write_bytes(b"ptrt1" + rest[: -smaller or None])
    found = read_engine(path)
    assert found.card.engine == BUILT and "its sidecar is of another plan" in found.doubt
    sidecar(path).unlink()
    assert read_engine(path).doubt == ""


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff\xfe", b"[" * 99999, b"1" * 9999, b"null", b'{"format": 1}', b"{}" + bytes(2**21)]
)
def test_an_odd_sidecar_blocks_no_engine(plan, content):
    path = plan()
    sidecar(path).write_bytes(content)
    assert read_engine(path).card.engine == BUILT
    text = path.read_bytes()
    sidecar(path).write_bytes(b'{"format":1,"network":"a","task":{},"engine":{"built":' + content[:99] + b"}}")
    assert read_engine(path).card.engine == BUILT and path.read_bytes() == text


def test_a_plan_full_of_beginnings_of_cards_is_refused_soon(tmp_path):
    path = tmp_path / "model.engine"
    for inside in (b'{"network":', b'{"network":' + b"[" * 8000):
        path.write_bytes(b"ptrt" + inside * (10**6 // len(inside)))
        with pytest.raises(EngineError, match="no PNEN model card"):
            read_engine(path)


@pytest.mark.parametrize(("content", "says"), [(b"", "something else"), (b"PK\3\4" + bytes(50), "something else"),
                                               (b"ptrt" + bytes(50), "no PNEN model card"),
                                               (b'ptrt{"network": 3}', "no PNEN model card")])  # fmt: skip
def test_a_foreign_file_is_one_line(tmp_path, content, says):
    path = tmp_path / "model.engine"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=says) as caught:
        open_backend(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("engine", "version", "gpu", "says"),
    [({}, "10.9.0.34", ADA, None), ({}, "10.9.1.0", ADA, "built with TensorRT 10.9.0.34, this is 10.9.1.0"),
     ({}, "10.9.0.34", HOPPER, r"built for NVIDIA L4 \(8.9\), this is NVIDIA H200 \(9.0\)"),
     ({"options": {"hardware": "ampere+"}}, "10.9.0.34", HOPPER, None),
     ({"options": {"hardware": "ampere+"}}, "10.9.0.34", Gpu("T4", "7.5"), "this is T4"),
     ({"options": {"version_compatible": True}}, "10.13.0.1", ADA, None),
     ({"options": {"version_compatible": True}}, "10.3.0.1", ADA, "this is 10.3.0.1"),
     ({"flavour": "rtx", "gpu": None, "compute_capabilities": ["SM89", "SM120"]}, "10.9.0.34", ADA, None),
     ({"flavour": "rtx", "gpu": None, "compute_capabilities": ["SM89", "SM120"]}, "10.9.0.34", HOPPER,
      "TensorRT-RTX builds for SM89, SM120")],
)  # fmt: skip
def test_what_does_not_fit_is_said_before_tensorrt_is_asked(card, engine, version, gpu, says):
    found = misfit(card(engine=BUILT | engine), version, gpu)
    assert (found is None) if says is None else re.search(says, found or "")


def test_the_wrong_backend_is_wrong_usage(plan):
    with pytest.raises(UsageError, match="an engine of tensorrt, not of tensorrt-rtx"):
        open_backend(plan(), "tensorrt-rtx")


@pytest.mark.parametrize("engine", [{}, {"profiles": [TILES, FULL_HD], "key_limit": None, "flavour": "rtx"},
                                    {"options": {"hardware": "ampere+", "version_compatible": True}}])  # fmt: skip
def test_the_rebuild_command_is_taken_by_the_exporter(plan, engine):
    path = plan(**engine)
    words = rebuild_command(path, read_engine(path).card)
    assert words[:2] == ["pnen-export", str(path.with_suffix(".onnx"))]
    done = CliRunner().invoke(main, words[1:])
    assert done.exit_code == 2 and "no such file" in done.output  # every option was known, the file is missing


def test_rebuilding_without_the_onnx_file_says_so(plan):
    path = plan()
    path.write_bytes(b"junk")
    with pytest.raises(EngineError, match="cannot be built again: .*model.fp16.onnx is not there"):
        open_backend(path, rebuild_engine=True)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("name", ["click.py", "json.py", "numpy.py", "tensorrt_rtx.py", "PIL.py", "pnen_export/cli.py"])
def test_rebuilding_runs_no_code_of_the_current_folder(plan, tmp_path, monkeypatch, name, relative):
    engine, proof, folder = plan(flavour="rtx"), tmp_path / "was-run", tmp_path / "downloads"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text(f"open({str(proof)!r}, 'w')")
    (folder / name).with_name("__init__.py").write_text("")
    engine.with_suffix(".onnx").write_bytes(b"foreign")
    monkeypatch.chdir(folder)
    with pytest.raises(EngineError, match="cannot be built again by pnen-export .*: Error"):
        rebuild(Path(os.path.relpath(engine)) if relative else engine)
    assert not proof.exists()
