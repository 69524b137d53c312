"""One ONNX file as vs-mlrt takes it in VapourSynth: one input of all planes, one picture at a time."""

from pathlib import Path

import onnx

from pnen_runtime.errors import UsageError
from pnen_runtime.files import replace_when_done
from pnen_runtime.strength import wanted_strength

from .onnx_file import read_onnx
from .other_ends import prove, with_ends


def write(source: Path, name: str, folder: Path, strength: float | None) -> list[str]:
    """Write FOLDER/NAME.vs.onnx; what was written, and the clips that it takes, in lines.

    An adjustable model without a strength takes a second clip, the strength of every pixel in the model's unit.
    Raises UsageError for a model that enlarges or is grey, or a strength that it does not take.
    """
    card = read_onnx(source).card
    if "scale" in card.task or card.channels != 3:
        raise UsageError(f"{source} works on luma alone; expected a model of colour pictures that smooths or denoises")
    wanted = None if strength is None else wanted_strength(card, strength, 0, 0)
    fixed = None if wanted is None else float(wanted)
    model = with_ends(onnx.load(source), card, fixed, "plane", batch=1)
    prove(model, source, card, fixed if fixed is not None else card.strength.get("default"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{'' if fixed is None else f'-{fixed:g}'}.vs.onnx"
    with replace_when_done(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
    ends = card.strength
    second = f" and a GRAYS clip of strengths, {ends['least']:g} to {ends['most']:g}" if ends and fixed is None else ""
    return [f"written: {path}", f"clips: RGBS{second}; result RGBS; name of the input: input"]
