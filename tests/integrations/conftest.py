"""ComfyUI's documented interface to nodes, in a few lines, and the node pack loaded as ComfyUI loads one."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PACK = Path(__file__).parents[2] / "integrations/comfyui"


@pytest.fixture
def comfyui(monkeypatch, tmp_path):
    """The modules that nodes import: `comfy.utils`, `comfy.model_management`, `folder_paths`."""
    torch = pytest.importorskip("torch")
    comfy, utils, management, folders = map(
        ModuleType, ("comfy", "comfy.utils", "comfy.model_management", "folder_paths"))  # fmt: skip

    class ProgressBar:
        seen: list = []  # noqa: RUF012

        def __init__(self, total, node_id=None):
            pass

        def update_absolute(self, value, total=None, preview=None):
            ProgressBar.seen.append((value, total))

    ProgressBar.seen = []

    def common_upscale(samples, width, height, upscale_method, crop):
        return torch.nn.functional.interpolate(samples, size=(height, width), mode=upscale_method)

    def stop():
        if management.stops:
            raise management.InterruptProcessingException

    utils.ProgressBar, utils.common_upscale = ProgressBar, common_upscale
    management.throw_exception_if_processing_interrupted, management.stops = stop, False
    management.InterruptProcessingException = type("InterruptProcessingException", (Exception,), {})
    folders.models_dir, folders.folder_names_and_paths = str(tmp_path / "models"), {}

    def add_model_folder_path(name, path):
        folders.folder_names_and_paths.setdefault(name, ([], set()))[0].append(path)

    def get_filename_list(name):
        (path,), suffixes = folders.folder_names_and_paths[name]
        return sorted(file.name for file in Path(path).glob("*") if file.suffix in suffixes)

    def get_full_path(name, file):
        (path,), _ = folders.folder_names_and_paths[name]
        return str(Path(path, file)) if Path(path, file).is_file() else None

    for function in (add_model_folder_path, get_filename_list, get_full_path):
        setattr(folders, function.__name__, function)
    comfy.utils, comfy.model_management = utils, management
    for module in (comfy, utils, management, folders):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return comfy


@pytest.fixture
def pack(comfyui, monkeypatch):
    """The node pack's module."""
    spec = importlib.util.spec_from_file_location("pnen_nodes", PACK / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pnen_nodes", module)
    spec.loader.exec_module(module)
    yield module
    for name in [name for name in sys.modules if name.startswith("pnen_nodes.")]:
        del sys.modules[name]
