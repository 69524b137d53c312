"""PNEN in ComfyUI: smooth, bring details out, denoise, enlarge. This folder goes into ComfyUI's `custom_nodes`."""

try:
    import pnen_runtime  # noqa: F401
except ImportError as error:
    raise ImportError(
        "PNEN's nodes need its runtime in ComfyUI's own Python: pip install \"PATH_TO_PNEN[ort]\""
    ) from error

from .nodes import Denoise, Detail, Enlarge, Smooth

NODE_CLASS_MAPPINGS = {"PNENSmooth": Smooth, "PNENDetail": Detail, "PNENDenoise": Denoise, "PNENEnlarge": Enlarge}
NODE_DISPLAY_NAME_MAPPINGS = {
    "PNENSmooth": "Smooth, keep edges (PNEN)",
    "PNENDetail": "Bring details out (PNEN)",
    "PNENDenoise": "Denoise (PNEN)",
    "PNENEnlarge": "Enlarge (PNEN)",
}
