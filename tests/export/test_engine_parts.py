"""What an engine is built with: the file, the proof of precision, the cache, and the names of each TensorRT."""

import json
import os
import time
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace

import onnx
import pytest
from onnx import TensorProto, helper

from pnen_export import builder_api, engine_cache
from pnen_export.engine import NAME_LIMIT, card_for_name
from pnen_export.onnx_file import read_onnx
from pnen_export.precision import half_share, require_precision
from pnen_runtime.card import KEY, Card
from pnen_runtime.cuda.driver import first_gpu
from pnen_runtime.errors import EngineError, ParityError, UsageError

CARD = Card(network="pnen", task={"filter": "l0"}, precision="fp16")
USED = """
__version__ float16 ILogger OnnxParser.parse OnnxParser.get_error Builder.create_network BuilderFlag.TF32
Builder.create_builder_config Builder.create_optimization_profile Builder.build_serialized_network
IBuilderConfig.clear_flag IBuilderConfig.set_flag IBuilderConfig.profiling_verbosity INetworkDefinition.name
IBuilderConfig.get_tactic_sources IBuilderConfig.set_tactic_sources IBuilderConfig.create_timing_cache
IBuilderConfig.set_timing_cache IBuilderConfig.get_timing_cache IBuilderConfig.hardware_compatibility_level
IBuilderConfig.add_optimization_profile IOptimizationProfile.set_shape ProfilingVerbosity.DETAILED
BuilderFlag.VERSION_COMPATIBLE HardwareCompatibilityLevel.AMPERE_PLUS LayerType.CONVOLUTION
LayerType.MATRIX_MULTIPLY ILayer.get_input ITensor.dtype Runtime.deserialize_cuda_engine
ICudaEngine.create_engine_inspector EngineInspector.get_engine_information LayerInformationFormat.JSON
float32 Runtime.engine_host_code_allowed ICudaEngine.num_io_tensors ICudaEngine.get_tensor_name
ICudaEngine.get_tensor_dtype ICudaEngine.num_optimization_profiles ICudaEngine.get_tensor_profile_shape
ICudaEngine.create_execution_context IExecutionContext.set_optimization_profile_async IExecutionContext.set_input_shape
IExecutionContext.set_tensor_address IExecutionContext.execute_async_v3
"""
EITHER = """
ExecutionContextAllocationStrategy.USER_MANAGED|ICudaEngine.create_execution_context_without_device_memory
IExecutionContext.update_device_memory_size_for_shapes|ICudaEngine.device_memory_size
IExecutionContext.set_device_memory|IExecutionContext.device_memory
"""
WITH_RUNTIME_CONFIG = """
IRuntimeConfig.set_execution_context_allocation_strategy IRuntimeConfig.create_runtime_cache
IRuntimeConfig.set_runtime_cache IRuntimeCache.serialize IRuntimeCache.deserialize
"""
WITH_GRAPH_STRATEGY = "CudaGraphStrategy.WHOLE_GRAPH_CAPTURE IRuntimeConfig.cuda_graph_strategy"
ENGINE = {"flavour": "tensorrt", "version": "10.3.0", "gpu": {"name": "NVIDIA H200 / 2g", "compute_capability": "9.0"}}


def write(path, weights, props):
    tensors = [helper.make_tensor(str(i), kind, shape, bytes(size), raw=True) for i, (kind, shape, size) in weights]
    model = helper.make_model(helper.make_graph([], "g", [], [], tensors))
    helper.set_model_props(model, props)
    onnx.save(model, path)
    return path


def test_reads_the_card_and_the_share_of_half_without_onnx(tmp_path):
    weights = [(TensorProto.FLOAT16, (3, 300), 1800), (TensorProto.FLOAT, (10, 10), 400), (TensorProto.INT64, (5,), 40)]
    path = write(tmp_path / "a.onnx", enumerate(weights), {"other": "x", KEY: CARD.to_json()})
    file = read_onnx(path)
    assert file.card == CARD and file.half_share == 0.9 and file.data == path.read_bytes()
    assert read_onnx(write(tmp_path / "none.onnx", [], {KEY: CARD.to_json()})).half_share == 0


def test_agrees_with_the_onnx_package_on_real_graphs(graph, tmp_path):
    for precision in ("fp16", "fp32"):
        model = graph("last stage only", precision)
        data = (
            model.SerializeToString()
            + onnx.ModelProto(metadata_props=[{"key": KEY, "value": CARD.to_json()}]).SerializeToString()
        )
        (tmp_path / "model.onnx").write_bytes(data)
        share = read_onnx(tmp_path / "model.onnx").half_share
        sizes = dict.fromkeys((TensorProto.FLOAT, TensorProto.FLOAT16), 0)
        for weight in model.graph.initializer:
            if weight.data_type in sizes:
                sizes[weight.data_type] += onnx.numpy_helper.to_array(weight).size
        assert share == sizes[TensorProto.FLOAT16] / sum(sizes.values())


def test_a_file_that_is_not_whole_or_not_ours_is_an_engine_error(tmp_path):
    whole = write(tmp_path / "a.onnx", [(0, (TensorProto.FLOAT16, (30,), 60))], {KEY: CARD.to_json()}).read_bytes()
    path = tmp_path / "broken.onnx"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(EngineError, match="pnen-export"):
            read_onnx(path)
    for junk in (b"\xff" * 100, b"PK\x03\x04" + bytes(50), b"ftrt" + bytes(200)):
        path.write_bytes(junk)
        with pytest.raises(EngineError, match="pnen-export"):
            read_onnx(path)
    with pytest.raises(EngineError, match="no PNEN model card"):
        read_onnx(write(path, [], {"author": "someone"}))


def layer(*types, key="Format/Datatype"):
    return {"Name": "layer", "Outputs": [{"Name": "x", "Dimensions": [1], key: kind} for kind in types]}


@pytest.mark.parametrize(
    ("layers", "share"),
    [
        ([layer("Half"), layer("Half"), layer("Float"), layer("Int32")], 2 / 3),
        ([layer("Channel major FP16 format where channel % 8 == 0"), layer("Row major linear FP32")], 0.5),
        ([layer("Half", "Float"), layer("BFloat16"), layer("Bool"), layer()], 1),
        ([layer("Float32", key="Datatype")], 0),
        (["names", "only"], None),
        ([], None),
    ],
)
def test_the_inspectors_words_become_a_share(layers, share):
    assert half_share(json.dumps({"Layers": layers, "I/O Tensors": []})) == share


def test_precision_is_refused_on_either_side_of_one_half():
    for wanted, share in (("fp16", 0.5), ("fp16", 1.0), ("fp16", None), ("fp32", 0.49), ("fp32", None)):
        require_precision(wanted, share, "it is")
    for wanted, share in (("fp16", 0.49), ("fp32", 0.5)):
        with pytest.raises(ParityError, match=f"{share:.0%}") as caught:
            require_precision(wanted, share, "it is")
        assert caught.value.exit_code == 3


def test_the_cache_gives_back_what_is_whole_and_forgets_the_oldest(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_cache, "KEPT", 3)
    for number in range(5):
        engine_cache.keep_engine(tmp_path, f"key{number}", b"plan%d" % number, card_of(b"plan%d" % number))
        old = time.time() - 1000 + number
        os.utime(tmp_path / f"key{number}.engine", (old, old))
        if number == 3:
            assert engine_cache.find_engine(tmp_path, "key2") == (b"plan2", card_of(b"plan2"))  # used now, so it stays
    assert sorted(path.name for path in tmp_path.glob("*.engine")) == ["key2.engine", "key3.engine", "key4.engine"]
    assert len(list(tmp_path.iterdir())) == 6
    assert engine_cache.find_engine(tmp_path, "key0") is None
    good = (tmp_path / "key4.json").read_text()
    torn = ["", "[]", '{"card": 1}', "[" * 90_000, '{"a":' * 90_000, "\0", good[:99]]
    for broken in (*torn, CARD.to_json(), good.replace("key4", "key3"), good.replace('"engine"', '"motor"')):
        (tmp_path / "key4.json").write_text(broken)
        assert engine_cache.find_engine(tmp_path, "key4") is None


def card_of(plan: bytes) -> Card:
    """The card that is kept with this plan."""
    return replace(CARD, engine={"flavour": "rtx", "built": {"plan_sha256": sha256(plan).hexdigest()}})


def test_a_plan_that_was_swapped_is_not_taken(tmp_path):
    for key in ("one", "two"):
        engine_cache.keep_engine(tmp_path, key, key.encode(), card_of(key.encode()))
    (tmp_path / "one.engine").write_bytes(b"two")
    assert engine_cache.find_engine(tmp_path, "one") is None
    (tmp_path / "one.json").write_bytes((tmp_path / "two.json").read_bytes())
    assert engine_cache.find_engine(tmp_path, "one") is None
    assert engine_cache.find_engine(tmp_path, "two") is not None


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    engine_cache.keep_engine(tmp_path / "file" / "folder", "key", b"plan", CARD)
    assert engine_cache.find_engine(tmp_path / "file" / "folder", "key") is None


def test_timings_are_kept_for_each_version_and_gpu(tmp_path):
    assert engine_cache.timing_file(tmp_path, ENGINE).name == "tensorrt-10.3.0-NVIDIA_H200_2g.timing"


def test_the_reason_is_taken_from_the_log():
    lines = [("ERROR", "Requested size was too big. "), ("ERROR", "Cuda Runtime (cudaError 35: ...)"), ("INFO", "bye")]
    assert builder_api.last_error(lines) == "Requested size was too big."
    assert builder_api.last_error(lines[2:]) == "it gave no reason"


def test_memory_is_what_the_loaded_engine_says_and_the_log_only_where_it_is_plain():
    log = [("INFO", f"Total Activation Memory: {size} bytes") for size in (12, 34)]
    assert builder_api.activation_bytes(None, log, 2) == [12, 34]
    assert builder_api.activation_bytes(None, log + log, 2) == []  # as TensorRT 8.6 may say it: which is whose?
    assert builder_api.activation_bytes(SimpleNamespace(device_memory_size=56), log, 1) == [56]
    assert builder_api.activation_bytes(SimpleNamespace(device_memory_size=56), log, 2) == [12, 34]
    assert builder_api.activation_bytes(SimpleNamespace(device_memory_size=56), log + log, 2) == []
    engine = SimpleNamespace(get_device_memory_size_for_profile_v2=lambda index: 7 + index)
    assert builder_api.activation_bytes(engine, log + log, 2) == [7, 8]


def test_a_gpu_is_asked_of_the_driver():
    gpu = first_gpu()
    assert gpu is None or (gpu.name and float(gpu.compute_capability) >= 5)


def has(module, name):
    """Whether a module has Class.member."""
    for part in name.split("."):
        if not hasattr(module, part):
            return False
        module = getattr(module, part)
    return True


@pytest.mark.parametrize(
    "module",
    [pytest.param("tensorrt", marks=pytest.mark.tensorrt), pytest.param("tensorrt_rtx", marks=pytest.mark.rtx)],
)
def test_this_tensorrt_has_every_name_that_is_used_unasked(module):
    """Only names: without a GPU the builder of TensorRT does not even start."""
    trt = pytest.importorskip(module, reason=f"{module} is not installed", exc_type=ImportError)
    used = USED.split()
    if has(trt, "ICudaEngine.create_runtime_config") and has(trt, "IRuntimeCache"):
        used += WITH_RUNTIME_CONFIG.split() + WITH_GRAPH_STRATEGY.split() * has(trt, "CudaGraphStrategy")
    for names in [*used, *EITHER.split()]:
        assert any(has(trt, name) for name in names.split("|")), names
    typed = "STRONGLY_TYPED" in trt.NetworkDefinitionCreationFlag.__members__
    assert typed or "FP16" in trt.BuilderFlag.__members__
    monitor = builder_api.make_monitor(trt, lambda *_: None)
    assert (monitor is None) == (not hasattr(trt, "IProgressMonitor"))


@pytest.mark.rtx
def test_progress_never_goes_back_and_a_failure_ends_the_build():
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed", exc_type=ImportError)
    seen = []
    monitor = builder_api.make_monitor(trt, lambda done, total: seen.append(done / total))
    monitor.phase_start("build", None, 2)
    monitor.phase_start("first", "build", 4)
    assert all(monitor.step_complete("first", step) for step in range(4))
    monitor.phase_finish("first")
    assert monitor.step_complete("build", 0) and monitor.step_complete("build", 1)
    assert seen == [0.125, 0.25, 0.375, 0.5, 1.0]

    def refuse(_done, _total):
        raise UsageError("enough")

    monitor = builder_api.make_monitor(trt, refuse)
    monitor.phase_start("build", None, 2)
    assert not monitor.step_complete("build", 0)
    assert str(monitor.failure) == "enough"


def test_the_card_in_the_name_is_cut_to_what_a_name_holds():
    long = replace(CARD, training={"steps": 7, "notes": "é" * 5000}, parity={"psnr": 60.0, "rows": ["row"] * 900})
    text = card_for_name(long)
    assert len(text.encode()) <= NAME_LIMIT
    assert Card.from_json(text) == replace(long, training={"steps": 7}, parity={"psnr": 60.0})
    with pytest.raises(EngineError, match="bytes"):
        card_for_name(replace(CARD, config={"x": "x" * 5000}))
