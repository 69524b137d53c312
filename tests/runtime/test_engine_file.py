"""Engine files: their cards, what does not fit a machine, and the command that builds them again."""

import logging
import os
import re
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from pnen_export.cli import main
from pnen_runtime import BackendMissing, EngineError, UsageError
from pnen_runtime.backends import open_backend
from pnen_runtime.cuda.driver import Gpu
from pnen_runtime.engine_file import misfit, read_engine, rebuild, rebuild_command, sidecar

TILES, FULL_HD = [[1, 16, 16], [8, 32, 32], [8, 32, 32]], [[1, 16, 16], [1, 1080, 1920], [1, 1080, 1920]]
ADA, HOPPER = Gpu("NVIDIA L4", "8.9"), Gpu("NVIDIA H200", "9.0")
BUILT = {
    "flavour": "tensorrt",
    "version": "10.9.0.34",
    "gpu": {"name": "NVIDIA L4", "compute_capability": "8.9"},
    "profiles": [TILES],
    "options": {"hardware": "this", "version_compatible": False},
    "key_limit": 65504,
    "build": "1" * 32,
}


@pytest.fixture
def plan(tmp_path, card):
    """plan(sidecar?, **fields of the engine) → path of a file that looks like a plan, with its card inside."""

    def write(beside: bool = True, **engine: object):
        path = tmp_path / "model.fp16.engine"
        own = card(precision="fp16", target="onnx", engine=BUILT | engine)
        rest = bytes(100) + own.to_json().encode() + b"\0{" + bytes(200)
        if own.engine["flavour"] == "rtx":  # which begins with its length
            rest = bytes(4) + (2).to_bytes(8, "little") + (len(rest) + 24).to_bytes(8, "little") + rest
        path.write_bytes((b"vtrt" if own.engine["flavour"] == "rtx" else b"ptrt") + rest)
        data = path.read_bytes()
        built = {"plan_bytes": len(data), "plan_sha256": sha256(data).hexdigest(), "seconds": 1.5}
        if beside:
            sidecar(path).write_text(replace(own, engine=own.engine | {"built": built}).to_json())
        return path

    return write


def test_the_sidecar_adds_to_the_card_and_a_lost_one_costs_nothing(plan):
    path = plan()
    assert read_engine(path).card.engine["built"]["seconds"] == 1.5
    sidecar(path).unlink()
    assert read_engine(path).card.engine == BUILT and read_engine(path).flavour == "tensorrt"


@pytest.mark.parametrize("flavour", ["tensorrt", "rtx"])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.9, 0.999])
def test_a_truncated_engine_is_told_by_its_sidecar(plan, share, flavour):
    path = plan(flavour=flavour)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(EngineError, match=rf"truncated.*pnen-export .*model.fp16.onnx --engine {flavour} --tiles 8"):
        read_engine(path)


def test_a_truncated_engine_of_tensorrt_rtx_is_told_without_a_sidecar(plan):
    """TensorRT compares the length in its own header when it loads a plan; where that is, is not documented."""
    path = plan(beside=False, flavour="rtx")
    data = path.read_bytes()
    for less in (1, 100, 200):
        path.write_bytes(data[:-less])
        with pytest.raises(EngineError, match=rf"truncated: {len(data) - less:,} of {len(data):,} bytes; build it"):
            read_engine(path)
    path.write_bytes(data)
    assert read_engine(path).card.engine["flavour"] == "rtx"


@pytest.mark.parametrize("place", [4, 60, 300, -300, -100, -1])
@pytest.mark.parametrize("flavour", ["tensorrt", "rtx"])
def test_a_changed_byte_is_told_by_the_sidecar_of_the_same_build(plan, flavour, place):
    path = plan(flavour=flavour)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(EngineError, match="damaged|truncated|no PNEN model card"):
        read_engine(path)


@pytest.mark.parametrize("change", [lambda data: data + b"more", lambda data: data[:-100] + data])
def test_what_was_added_is_damage_too(plan, change):
    path = plan()
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(EngineError, match=r"damaged.*the digest in its sidecar"):
        read_engine(path)


@pytest.mark.parametrize("longer", [-150, -1, 0, 1])
@pytest.mark.parametrize("own", ["2" * 32, ""])
def test_a_new_engine_beside_the_sidecar_of_the_one_before_is_good(plan, longer, own):
    """As a kill between the two leaves it, or a copy of the engine alone; also beside a card without the build."""
    path = plan()
    old = sidecar(path).read_text()
    data = plan(build=own).read_bytes()
    path.write_bytes(data + b"\0" * longer if longer >= 0 else data[:longer])
    sidecar(path).write_text(old)
    found = read_engine(path)
    assert (
        found.card.engine == BUILT | {"build": own}
        and "its sidecar model.fp16.engine.json is of another" in found.doubt
    )


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "is missing"), ("torn", "cannot be read"), ("other", "is of another engine")]
)
def test_what_cannot_be_checked_is_said(plan, caplog, content, reason):
    """Never silence: damage could be there, and would not be seen."""
    path = plan()
    assert read_engine(path).doubt == ""
    sidecar(path).unlink()
    if content is not None:
        inside = read_engine(path).card
        other = replace(inside, engine=inside.engine | {"build": "4" * 32, "built": {"seconds": 1.0}}).to_json()
        sidecar(path).write_text(other if content == "other" else content)
    with caplog.at_level(logging.WARNING, "pnen"), pytest.raises((BackendMissing, EngineError)):
        open_backend(path)
    assert caplog.messages[-1].endswith(f"{path} cannot be checked for damage: its sidecar {path.name}.json {reason}")


@pytest.mark.parametrize("beside", [True, False])
def test_no_changed_byte_passes_in_silence(plan, beside):
    path = plan(beside)
    data, doubts = path.read_bytes(), 0
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with suppress(EngineError):
            assert read_engine(path).doubt
            doubts += 1
    assert doubts < 60 if beside else doubts > 400  # 32 digits say which build it is, and some names where they are


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


@pytest.mark.parametrize(
    ("backend", "flavour", "says"),
    [("tensorrt-rtx", "tensorrt", "an engine of tensorrt, not of tensorrt-rtx"),
     ("tensorrt", "rtx", "an engine of tensorrt-rtx, not of tensorrt"),
     ("onnxruntime-cpu", "tensorrt", "which onnxruntime-cpu cannot run"),
     ("onnxruntime-cuda", "rtx", "which onnxruntime-cuda cannot run")],
)  # fmt: skip
def test_the_wrong_backend_is_wrong_usage(plan, backend, flavour, says):
    with pytest.raises(UsageError, match=says):
        open_backend(plan(flavour=flavour), backend)


def test_a_checkpoint_is_the_wrong_kind_of_file(tmp_path):
    (tmp_path / "model.pt").touch()
    with pytest.raises(UsageError, match=r"is a checkpoint; export it first: pnen-export .*model\.pt"):
        open_backend(tmp_path / "model.pt")


def test_advice_names_only_files_that_are_there(plan, tmp_path):
    path, foreign = plan(), tmp_path / "unknown.engine"
    foreign.write_bytes(b"junk")
    path.write_bytes(path.read_bytes()[:-1])
    for file, there, says in ((path, False, r"build it again where its model\.fp16\.onnx is: pnen-export model\.fp16"),
                              (path, True, r"build it again: pnen-export /.*model\.fp16\.onnx --engine tensorrt"),
                              (foreign, False, "something else; take an engine that pnen-export built, or build one"),
                              (foreign, True, r"build it again: pnen-export /.*unknown\.onnx")):  # fmt: skip
        onnx = file.with_suffix(".onnx")
        onnx.touch() if there else onnx.unlink(missing_ok=True)
        with pytest.raises(EngineError, match=says) as caught:
            read_engine(file)
        assert there or str(onnx) not in str(caught.value)


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
