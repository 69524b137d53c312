"""PNEN in VapourSynth by vs-mlrt: `clip = pnen_vs.smooth(clip, "l0-fast.vs.onnx", strength=0.05)`."""

import vapoursynth as vs


def smooth(clip, model, strength=None, run=None, **settings):
    """A clip, smoothed by a file of `pnen-export --for vapoursynth`, in its own format.

    `strength` is a number or a GRAYS clip of numbers, for a file that takes it; `run` one of vs-mlrt's `Model`
    functions, by default ONNX Runtime's, which gets the settings (provider="CUDA", tilesize=[768, 768], ...).
    """
    run = run or vs.core.ort.Model
    if clip.format.color_family == vs.YUV and clip.get_frame(0).props.get("_Matrix", 2) == 2:  # nobody said
        clip = clip.std.SetFrameProps(_Matrix=1 if clip.height >= 720 else 6)
    planes = [clip.resize.Bicubic(format=vs.RGBS)]
    if strength is not None:
        given = isinstance(strength, vs.VideoNode)
        planes.append(strength if given else planes[0].std.BlankClip(format=vs.GRAYS, color=strength, keep=True))
    result = run(planes, model, **settings)
    back = {"matrix": clip.get_frame(0).props["_Matrix"]} if clip.format.color_family == vs.YUV else {}
    return result.resize.Bicubic(format=clip.format.id, **back)
