"""The node pack against ComfyUI's documented interface, and in ComfyUI itself where COMFYUI names a checkout."""

import gc
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pnen_runtime import PnenError, Smoother, Upscaler, UsageError
from pnen_runtime.models import find_model

torch = pytest.importorskip("torch")
ROOT = Path(__file__).parents[2]
PACK = ROOT / "integrations/comfyui"
SIDES = (40, 52)
KINDS = {
    "PNENSmooth": {"model": "l0-fast", "strength": 0.05, "mix": 0.7},
    "PNENDetail": {"model": "l0-fast", "strength": 0.0, "detail": 1.5},
    "PNENDenoise": {"model": "denoise", "estimate": False, "sigma": 20.0, "mix": 1.0},
    "PNENEnlarge": {"model": "enlarge2", "mix": 1.0},
}


def pictures(count=2):
    """(B, H, W, 3) float32 in [0, 1]: soft, with noise."""
    rows, columns = np.mgrid[: SIDES[0], : SIDES[1]] / 40
    clean = np.stack([np.sin(3 * rows), np.cos(4 * columns), rows * columns], -1) / 2 + 0.5
    noisy = clean + np.random.default_rng(0).normal(0, 0.05, (count, *SIDES, 3))
    return torch.from_numpy(np.clip(noisy, 0, 1).astype(np.float32))


@pytest.mark.parametrize("name", KINDS)
def test_a_node_tells_what_comfyui_asks_of_it(pack, name):
    node = pack.NODE_CLASS_MAPPINGS[name]
    inputs = node.INPUT_TYPES()
    assert set(inputs) == {"required", "optional"} and pack.NODE_DISPLAY_NAME_MAPPINGS[name]
    assert node.RETURN_TYPES == ("IMAGE",) and node.CATEGORY == "image/PNEN" and node.DESCRIPTION
    wanted = {**inputs["required"], **inputs["optional"]}
    taken = inspect.signature(getattr(node, node.FUNCTION)).parameters
    assert list(taken)[1:] == list(wanted), "each input is an argument, in the same order"
    assert all(taken[key].default is not inspect.Parameter.empty for key in inputs["optional"])
    for kind, *settings in wanted.values():
        assert kind in ("IMAGE", "MASK", "FLOAT", "BOOLEAN") or (isinstance(kind, list) and kind)
        if kind == "FLOAT":
            assert settings[0]["min"] <= settings[0]["default"] <= settings[0]["max"]
    assert KINDS[name]["model"] in wanted["model"][0] and wanted["backend"][0][0] == "auto"
    tasks = {"PNENDenoise": {"denoise"}, "PNENEnlarge": {"enlarge2", "enlarge3"}}
    assert tasks.get(name, {"l0", "l0-fast", "wmf", "wmf-fast", "sd"}) <= set(wanted["model"][0])
    assert ("denoise" in wanted["model"][0]) == (name == "PNENDenoise")


@pytest.mark.parametrize("name", KINDS)
def test_a_batch_comes_out_as_the_runtime_makes_it(pack, comfyui, name):
    image, words = pictures(), KINDS[name]
    given = image.clone()
    (found,) = pack.NODE_CLASS_MAPPINGS[name]().run(image, **words)
    scale = 2 if name == "PNENEnlarge" else 1
    assert found.shape == (2, scale * SIDES[0], scale * SIDES[1], 3) and found.dtype == torch.float32
    assert found.device == image.device and 0 <= float(found.min()) <= float(found.max()) <= 1
    assert torch.equal(image, given), "what another node may use too is left as it was"
    wishes = {
        "PNENSmooth": {"strength": 0.05, "mix": 0.7}, "PNENDetail": {"detail": 1.5}, "PNENDenoise": {"strength": 20.0},
        "PNENEnlarge": {},
    }[name]  # fmt: skip
    kind = Upscaler if name == "PNENEnlarge" else Smoother
    with kind(words["model"]) as runs:
        for one, frame in zip(found, image, strict=True):
            assert torch.equal(one, runs.run(frame, **wishes))
    assert comfyui.utils.ProgressBar.seen[-1][0] == comfyui.utils.ProgressBar.seen[-1][1]


def test_noise_is_estimated_for_each_frame(pack):
    image = torch.cat([pictures(1), pictures(1) * 0.3])
    (found,) = pack.NODE_CLASS_MAPPINGS["PNENDenoise"]().run(image, "denoise", True, 25.0, 1.0)
    with Smoother("denoise") as runs:
        assert torch.equal(found, torch.stack([runs.run(frame) for frame in image]))


@pytest.mark.parametrize("shape", [SIDES, (1, *SIDES), (2, *SIDES), (1, 20, 26)])
def test_a_mask_is_a_map_of_strengths(pack, shape):
    image, mask = pictures(), torch.rand(shape, generator=torch.Generator().manual_seed(1))
    (found,) = pack.NODE_CLASS_MAPPINGS["PNENSmooth"]().run(image, "l0-fast", 0.1, 1.0, mask)
    fitted = mask.reshape(-1, *shape[-2:])
    if shape[-1] != SIDES[1]:
        fitted = torch.nn.functional.interpolate(fitted[:, None], size=SIDES, mode="bilinear")[:, 0]
    with Smoother("l0-fast") as runs:
        for number, one in enumerate(found):
            wanted = 0.002 + fitted[number % len(fitted)].numpy().astype(np.float64) * 0.098
            expected = runs.run(image[number], strength=np.clip(wanted, 0.002, 0.1).astype(np.float32))
            np.testing.assert_allclose(one, expected, atol=1e-6)


@pytest.mark.parametrize(("name", "changes", "says"), [
    ("PNENSmooth", {"model": "wmf", "strength": 0.0, "mask": True}, "no mask can ask for more"),
    ("PNENSmooth", {"model": "wmf"}, "knows one strength"),
    ("PNENSmooth", {"strength": 0.5}, "expected a strength from 0.002 to 0.2"),
    ("PNENSmooth", {"mask": 3}, "one for each of 2 pictures, got 3"),
    ("PNENDenoise", {"estimate": True, "mask": True}, "turn estimate off"),
    ("PNENSmooth", {"model": "gone.onnx"}, "no model 'gone.onnx'"),
])  # fmt: skip
def test_what_cannot_be_is_one_line(pack, name, changes, says):
    words = KINDS[name] | changes
    if "mask" in words:
        words["mask"] = torch.ones(int(words["mask"]), *SIDES)
    with pytest.raises(UsageError, match=says) as caught:
        pack.NODE_CLASS_MAPPINGS[name]().run(pictures(), **words)
    assert "\n" not in str(caught.value)


def test_values_outside_are_clipped_and_no_numbers_refused(pack):
    node, image = pack.NODE_CLASS_MAPPINGS["PNENSmooth"](), pictures(1)
    (clipped,) = node.run(image.clamp(0, 1), "l0-fast", 0.0, 1.0)
    wide = torch.where(image >= 1, image + 0.2, torch.where(image <= 0, image - 0.1, image))
    assert torch.equal(node.run(wide, "l0-fast", 0.0, 1.0)[0], clipped) and float(wide.max()) > 1
    with pytest.raises(PnenError):
        node.run(image * float("nan"), "l0-fast", 0.0, 1.0)


def test_it_stops_between_tiles(pack, comfyui):
    comfyui.model_management.stops = True
    with pytest.raises(comfyui.model_management.InterruptProcessingException):
        pack.NODE_CLASS_MAPPINGS["PNENSmooth"]().run(pictures(), **KINDS["PNENSmooth"])


def test_nodes_share_a_model_which_goes_with_the_last_of_them(pack):
    first, second = (pack.NODE_CLASS_MAPPINGS[name]() for name in ("PNENSmooth", "PNENDetail"))
    smoother = first.open("l0-fast", "auto")
    assert second.open("l0-fast", "onnxruntime-cpu") is not smoother and second.open("l0-fast", "auto") is smoother
    first.open("wmf-fast", "auto")
    gc.collect()
    assert smoother.info, "still held by the second"
    del second
    gc.collect()
    with pytest.raises(PnenError, match="closed"):
        _ = smoother.info


def test_files_in_the_folder_are_offered_where_they_belong(pack, comfyui):
    folder = Path(sys.modules["folder_paths"].models_dir) / "pnen"
    folder.mkdir(parents=True)
    (folder / "mine.onnx").write_bytes(find_model("l0-fast").read_bytes())
    (folder / "foreign.onnx").write_bytes(b"nothing")
    offered = {name: node.INPUT_TYPES()["required"]["model"][0] for name, node in pack.NODE_CLASS_MAPPINGS.items()}
    assert "mine.onnx" in offered["PNENSmooth"] and "mine.onnx" not in offered["PNENDenoise"]
    assert not any("foreign.onnx" in names for names in offered.values())
    node = pack.NODE_CLASS_MAPPINGS["PNENSmooth"]
    image, before = pictures(1), node.IS_CHANGED("mine.onnx")
    mine, bundled = (node().run(image, model, 0.0, 1.0)[0] for model in ("mine.onnx", "l0-fast"))
    assert torch.equal(mine, bundled)
    os.utime(folder / "mine.onnx", ns=(1, 1))
    assert node.IS_CHANGED("mine.onnx") != before


def test_a_frame_on_the_gpu_stays_there_where_the_model_is(pack, monkeypatch):
    place = sys.modules["pnen_nodes.nodes"]

    class Runs:
        def __init__(self, gpu_bytes):
            self.gpu_bytes, self.run = gpu_bytes, lambda frame, **_: frame

        def plan(self, *_):
            return self

    class Frame(SimpleNamespace):
        def cpu(self):
            return Frame(
                is_cuda=False, shape=self.shape, device="host", clamp=lambda *_: Frame(to=lambda device: device)
            )

    monkeypatch.setattr(place, "Smoother", Runs)
    frame = Frame(is_cuda=True, shape=(40, 52, 3), device="cuda:0")
    assert place.run_where_it_lies(Runs(1), frame) is frame
    assert place.run_where_it_lies(Runs(None), frame) == "cuda:0", "over the host, and back"
    alpha = Frame(is_cuda=True, shape=(40, 52, 4), device="cuda:0")
    assert place.run_where_it_lies(Runs(1), alpha) == "cuda:0"


def test_without_the_runtime_it_says_what_to_install(comfyui, monkeypatch):
    monkeypatch.setitem(sys.modules, "pnen_runtime", None)
    with pytest.raises(ImportError, match=r"need its runtime in ComfyUI's own Python: pip install"):
        exec(compile((PACK / "__init__.py").read_text("utf-8"), "pack", "exec"), {"__package__": "pack"})


@pytest.fixture
def checkout():
    """A checkout of ComfyUI that COMFYUI names, and a Python that has what it needs (COMFYUI_PYTHON, or this one)."""
    where = os.environ.get("COMFYUI")
    if not where:
        pytest.skip("COMFYUI names no checkout of ComfyUI")
    return where, os.environ.get("COMFYUI_PYTHON", sys.executable)


@pytest.mark.slow
def test_comfyui_itself_loads_the_pack_and_runs_the_workflow(checkout, tmp_path):
    where, python = checkout
    for folder in ("input", "output"):
        (tmp_path / folder).mkdir()
    pixels = (pictures().numpy() * 255).round().astype(np.uint8)
    first, second = map(Image.fromarray, pixels)  # an animation is a batch
    first.save(tmp_path / "input" / "example.png", save_all=True, append_images=[second])
    driver = Path(__file__).with_name("in_comfyui.py")
    words = [python, driver, where, ROOT, PACK / "smooth.api.json", "--cpu", "--base-directory", tmp_path]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"loaded": True, "success": True, "progress": True, "interrupted": True, "freed": True}, done.stderr
    written = sorted((tmp_path / "output").rglob("*.png"))
    with Smoother("l0") as runs:
        for file, frame in zip(written, pixels, strict=True):
            expected = runs.run(frame.astype(np.float32) / 255, strength=0.05)
            np.testing.assert_array_equal(
                np.asarray(Image.open(file)), np.clip(255 * expected, 0, 255).astype(np.uint8)
            )


@pytest.mark.parametrize("file", ["smooth.api.json", "smooth.json"])
def test_the_example_workflows_fit_the_nodes(pack, file):
    found = json.loads((PACK / file).read_text("utf-8"))
    if "nodes" not in found:  # as the API takes it
        for step in found.values():
            if node := pack.NODE_CLASS_MAPPINGS.get(step["class_type"]):
                wanted = node.INPUT_TYPES()
                assert set(wanted["required"]) <= set(step["inputs"]) <= {*wanted["required"], *wanted["optional"]}
                assert step["inputs"]["model"] in wanted["required"]["model"][0]
        assert "PNENSmooth" in {step["class_type"] for step in found.values()}
        return
    ours = [step for step in found["nodes"] if step["type"] in pack.NODE_CLASS_MAPPINGS]
    assert ours
    for step in ours:
        wanted = pack.NODE_CLASS_MAPPINGS[step["type"]].INPUT_TYPES()
        every = {**wanted["required"], **wanted["optional"]}
        widgets = [key for key, (kind, *_) in every.items() if kind not in ("IMAGE", "MASK")]
        assert len(step["widgets_values"]) == len(widgets)
        for key, value in zip(widgets, step["widgets_values"], strict=True):
            assert not isinstance(every[key][0], list) or value in every[key][0]
    joints = {number for step in found["nodes"] for end in step.get("inputs", []) if (number := end.get("link"))}
    assert joints == {link[0] for link in found["links"]}
