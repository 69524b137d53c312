"""Runs in ComfyUI's Python: CHECKOUT PROJECT WORKFLOW, and ComfyUI's own options. The last line is what happened."""

import asyncio
import gc
import json
import sys
from pathlib import Path
from types import SimpleNamespace

CHECKOUT, PROJECT, WORKFLOW = sys.argv[1:4]
sys.argv = ["main.py", *sys.argv[4:]]
sys.path[:0] = [CHECKOUT, PROJECT]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import comfy.model_management  # noqa: E402
import comfy.utils  # noqa: E402
import execution  # noqa: E402
import folder_paths  # noqa: E402
import nodes  # noqa: E402
from comfy.cli_args import args  # noqa: E402

for kind in ("input", "output"):
    getattr(folder_paths, f"set_{kind}_directory")(str(Path(args.base_directory) / kind))
told = {"loaded": asyncio.run(nodes.load_custom_node(f"{PROJECT}/integrations/comfyui"))}
prompt = json.loads(Path(WORKFLOW).read_text("utf-8"))
seen, ends = [], []
server = SimpleNamespace(client_id="a", last_node_id=None, last_prompt_id=None, prompt_queue=None)
server.send_sync = lambda event, data, _client=None: ends.append((event, data))
server.send_progress_text = lambda *_: None
comfy.utils.set_progress_bar_global_hook(lambda value, total, preview, node_id=None: seen.append((value, total)))
executor = execution.PromptExecutor(server, cache_type=execution.CacheType.CLASSIC)


def run(name: str) -> bool:
    """Validate and execute the workflow; whether it went through."""
    valid = asyncio.run(execution.validate_prompt(name, prompt, None))
    assert valid[0], valid
    executor.execute(prompt, name, {}, valid[2])
    return bool(executor.success)


told["success"] = run("first")
told["progress"] = bool(seen) and seen[-1][0] == seen[-1][1]
pack = next(module for name, module in sys.modules.items() if name.endswith("comfyui.opened"))
held = len(pack._opened)
prompt["2"]["inputs"]["strength"] = 0.1  # or ComfyUI would know the result already
comfy.utils.set_progress_bar_global_hook(lambda *_, **__: comfy.model_management.interrupt_current_processing())
failed = not run("second")
stopped = [data["node_type"] for event, data in ends if event == "execution_interrupted"]
told["interrupted"] = failed and stopped == ["PNENSmooth"]
executor.reset()  # what "free memory" does
gc.collect()
told["freed"] = held == 1 and not len(pack._opened)
print(json.dumps(told))
