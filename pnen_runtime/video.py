"""Videos in, smoothed or enlarged videos out, frame by frame: files by PyAV, and raw RGB24 through pipes."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .errors import ImageError, UsageError
from .files import replace_when_done
from .memory import peak_bytes_so_far
from .saving import Saved
from .signals import terminable
from .smoother import Smoother
from .strength import estimated, estimates
from .telling import Done
from .tiles import Progress
from .upscaler import Upscaler
from .video_colour import Colours
from .video_file import (
    OWN_WORDS,
    Damage,
    add_copy,
    add_pictures,
    check_video_name,
    explained,
    open_video,
    pictures_of,
    pyav,
    sample_frames,
)

SAMPLES = 5  # frames of which the noise is estimated
OPTIONS = {"mp4": {"movflags": "faststart"}, "mov": {"movflags": "faststart"}}  # to play while it is loaded
UNTURNED = [1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30]
log = logging.getLogger("pnen")


@dataclass(frozen=True)
class Film:
    """What became of a video."""

    frames: int
    width: int
    height: int
    strength: float | None  # that was estimated


def smooth_video(
    smoother: Smoother | Upscaler,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    strength: Any = None,
    mix: float = 1.0,
    detail: float | None = None,
    quality: int | None = None,
    progress: Progress | None = None,
) -> Film:
    """Smooth every frame of a video file, or enlarge it with an `Upscaler`, and copy all else.

    Sound, subtitles, data, chapters and metadata are copied without a change, as far as the new container takes them;
    the log names what it does not. Time stamps (of .mkv and .webm in milliseconds), rotation, aspect, range, matrix,
    depth (8 or 10 bits) and chroma stay as they were. Memory does not grow with length.

    Parameters
    ----------
    source : .mp4, .mov, .mkv, .webm, .avi, .ts, .mpg, .flv, .wmv, .ogv or the like
    target : .mp4, .m4v, .mov, .mkv (H.264) or .webm (VP9); whole or not there at all, what was there is replaced
    strength, mix, detail : as `Smoother.run` takes them; an estimated strength is estimated once, of a few frames. A
        map of strengths is of the frames' size as they are stored.
    quality : 1 to 100, by default 70: crf 15 of H.264
    progress : called after each frame with the frames done and those expected in all

    Returns
    -------
    Film : how many frames were written, their size, and the strength where it was estimated

    Raises
    ------
    ImageError
        The file is no video, is HDR, its frames change their size or are too small. Or it is damaged or cut off: then
        `target` holds the frames that could be read, and the message says so.
    BackendMissing
        PyAV is not installed.
    """
    av, source, target = pyav(), Path(source), Path(target)
    muxer, run = check_video_name(target), _runner(smoother, mix, detail)
    samples = sample_frames(source, SAMPLES if estimates(smoother.card, strength) else 1)
    if not samples:
        raise ImageError(f"{source}: no frame of it can be read")
    first, colours = samples[0], Colours(source, samples[0], getattr(smoother, "scale", 1))
    matrix = _display_matrix(first, colours.width // first.width)
    if matrix is not None and np.ndim(strength) == 2:
        raise UsageError(f"{source}: a map of strengths is not taken for a video that is shown turned")
    guess = None
    if estimates(smoother.card, strength):
        strength = guess = estimated(smoother.card, [(colours.pixels(frame)[1], None) for frame in samples])
    if first.interlaced_frame:
        log.warning("%s: it is interlaced, and its frames are smoothed as whole pictures; deinterlace it first", source)
    if any(part.is_alpha for part in first.format.components):
        log.warning("%s: its alpha is left out", source)
    damage = Damage(source)
    with (
        open_video(source) as given,
        replace_when_done(target) as temporary,
        explained(source, target),
        av.open(f"file:{temporary}", "w", format=muxer, container_options=OPTIONS.get(muxer)) as written,
    ):
        old = pictures_of(given, source)
        new = add_pictures(written, old, first, colours, quality)
        if matrix is not None:
            new.set_display_matrix(matrix)
        copies = {
            stream.index: add_copy(written, stream)
            for stream in given.streams
            if stream.index != old.index and stream.discard != av.stream.Discard.all  # as marks of chapters are
        }
        written.metadata.update({key: word for key, word in given.metadata.items() if key not in OWN_WORDS})
        written.set_chapters(given.chapters())
        total = old.frames or int((given.duration or 0) / 1e6 * (old.average_rate or 0))
        done, last = 0, None
        for packet in damage.watched(given, old):
            if packet.stream.index != old.index:
                if copies.get(packet.stream.index) is not None and packet.size:
                    packet.stream = copies[packet.stream.index]
                    written.mux(packet)
                continue
            for frame in damage.decoded(packet):
                if frame.pts is None:  # raw streams in old containers
                    frame.pts = 0 if last is None else last + max(1, frame.duration or 0)
                last = frame.pts
                rgb, pixels = colours.pixels(frame)
                smooth = colours.back(rgb, run(pixels, strength))
                written.mux(new.encode(smooth))
                done += 1
                if progress is not None:
                    progress(done, max(done, total))
        written.mux(new.encode(None))
        if not done:
            raise ImageError(f"{source}: no frame of it can be read")
        damage.check_end(given, old)
    if damage.what:
        raise ImageError(f"{source}: {damage.what}; {target} holds the {done} frames that could be read")
    return Film(done, colours.width, colours.height, guess)


def smooth_raw(
    smoother: Smoother | Upscaler,
    width: int,
    height: int,
    given: BinaryIO,
    written: BinaryIO,
    *,
    strength: Any = None,
    mix: float = 1.0,
    detail: float | None = None,
    progress: Progress | None = None,
) -> Film:
    """Smooth frames of width x height RGB bytes, one behind the other, from a buffered reader into a writer.

    The settings are those of `smooth_video`; noise is estimated of the first frame. ImageError where there is no frame,
    or the last one is torn.
    """
    run, size, done, guess = _runner(smoother, mix, detail), 3 * width * height, 0, None
    while data := given.read(size):
        if len(data) < size:
            raise ImageError(f"expected frames of {width}x{height} RGB, {size} bytes each, got {len(data)} bytes after "
                             f"frame {done}: the input is cut off, or of another size")  # fmt: skip
        pixels = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        if not done and estimates(smoother.card, strength):
            strength = guess = estimated(smoother.card, [(pixels, None)])
        smooth = run(pixels, strength)
        written.write(smooth.tobytes())
        written.flush()
        done += 1
        if progress is not None:
            progress(done, done)
    if not done:
        raise ImageError(f"expected frames of {width}x{height} RGB, {size} bytes each, got none")
    scale = getattr(smoother, "scale", 1)
    return Film(done, width * scale, height * scale, guess)


def smooth_video_file(
    smoother: Smoother | Upscaler, video: Path, output: Path, wanted: dict[str, Any], saved: Saved,
    progress: Progress | None,
) -> Done:  # fmt: skip
    """Smooth one video, or raw frames from standard input, for a command."""
    began = time.perf_counter()
    with terminable():
        if saved.raw:
            film = smooth_raw(smoother, *saved.raw, sys.stdin.buffer, sys.stdout.buffer, **wanted, progress=progress)
        else:
            film = smooth_video(smoother, video, output, **wanted, quality=saved.quality, progress=progress)
    seconds, peak = time.perf_counter() - began, peak_bytes_so_far() / 1e6
    return Done(str(video), str(output), film.width, film.height, seconds, peak, film.frames, film.strength)


def _runner(
    smoother: Smoother | Upscaler, mix: float, detail: float | None
) -> Callable[[np.ndarray, Any], np.ndarray]:  # fmt: skip
    """(H, W, 3) pixels and a strength → smoothed pixels."""
    settings: dict[str, Any] = {"mix": mix} | ({} if detail is None else {"detail": detail})

    def run(pixels: np.ndarray, strength: Any) -> np.ndarray:
        more = {} if strength is None else {"strength": strength}
        return np.asarray(smoother.run(pixels, **settings, **more))

    if isinstance(smoother, Upscaler) and detail is not None:
        raise UsageError("expected no detail with a network that enlarges")
    return run


def _display_matrix(frame: Any, scale: int) -> list[int] | None:
    """How players turn and mirror the frames; None where they do not."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            matrix = [int(value) for value in np.frombuffer(data, np.int32)]
            moved = [*matrix[:6], matrix[6] * scale, matrix[7] * scale, matrix[8]]
            return None if matrix == UNTURNED else moved
    return None
