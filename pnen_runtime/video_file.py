"""Video files by PyAV (extra `video`): which are opened and written, and what of a stream goes into the new file."""

from __future__ import annotations

import errno
import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BackendMissing, ImageError
from .install import pip_install

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}  # what is written
SUFFIXES = (*MUXERS, ".3gp", ".avi", ".flv", ".m2ts", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".wmv")  # what is read
# Nothing that names other files or addresses (playlists, concatenations, streams) is opened, whatever a file is called.
ALLOWED = {"format_whitelist": "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg", "protocol_whitelist": "file"}
OWN_WORDS = ("major_brand", "minor_version", "compatible_brands", "encoder")  # of the container, not of the film
QUALITY = 70  # which is crf 15 of H.264
LATE = 0.25  # seconds that a Matroska or AVI file may end before the length that it states
log = logging.getLogger("pnen")


def is_video(path: Path) -> bool:
    """Whether the suffix is one of a video."""
    return path.suffix.lower() in SUFFIXES


def check_video_name(path: Path) -> str:
    """The muxer of the suffix; ImageError where there is none."""
    muxer = MUXERS.get(path.suffix.lower())
    if muxer is None:
        raise ImageError(f"{path}: expected a name that ends in {', '.join(MUXERS)} for a video, got {path.suffix!r}")
    return muxer


def pyav() -> Any:
    """The package; BackendMissing where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise BackendMissing(
            f'videos need PyAV ({error}); install the extra "video", or the package: {pip_install("video")}'
        ) from error
    return av


def open_video(path: Path) -> InputContainer:
    """Open a file of one of the allowed formats, and no other file for it.

    Raises ImageError where it is none, OSError where it cannot be read.
    """
    av = pyav()
    try:
        opened: InputContainer = av.open(f"file:{os.path.abspath(path)}", options=ALLOWED, metadata_errors="replace")
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise ImageError(f"{path}: expected a video ({ALLOWED['format_whitelist']}), got something else, a playlist, "
                         f"or a file whose header is damaged or cut off ({error.strerror})") from None  # fmt: skip
    return opened


def pictures_of(container: InputContainer, path: Path) -> VideoStream:
    """The stream of moving pictures, ready to decode; a cover picture is none. ImageError where there is none."""
    av = pyav()
    covers = av.stream.Disposition.attached_pic
    found: list[VideoStream] = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not found:
        raise ImageError(f"{path}: expected a video, found no moving pictures in it")
    if found[0].codec_context is None:
        raise ImageError(f"{path}: expected pictures of a known codec, found one that PyAV cannot decode")
    found[0].thread_type = "AUTO"
    return found[0]


def sample_frames(path: Path, count: int) -> list[Any]:
    """The first frame, and up to count - 1 more from all over the film."""
    av, frames = pyav(), []
    with open_video(path) as container:
        stream = pictures_of(container, path)
        length = stream.duration or int((container.duration or 0) / 1e6 / (stream.time_base or 1))
        for number in range(count):
            try:
                if number and length:
                    container.seek((stream.start_time or 0) + length * number // count, stream=stream)
                frames += [frame for frame, _ in zip(_decoded(container, stream), range(1), strict=False)]
            except av.error.FFmpegError:  # no seeking here, or damage behind: the film itself will tell
                break
    return frames


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[Any]:
    for packet in container.demux(stream):
        yield from packet.decode()


def add_pictures(written: OutputContainer, given: VideoStream, first: Any, colours: Any, quality: int | None) -> Any:
    """The stream of the new pictures: H.264, in WebM VP9, at the rate, times, shape, turn and colours of the old."""
    share = (100 - (QUALITY if quality is None else quality)) / 100
    webm = written.format.name == "webm"
    crf = round(63 * share) if webm else max(1, round(51 * share))  # crf 0 of H.264 is a format that few play
    options = {"crf": str(crf)} | ({"row-mt": "1", "cpu-used": "2"} if webm else {})
    rate = given.average_rate or given.guessed_rate or 25
    stream: Any = written.add_stream("libvpx-vp9" if webm else "libx264", rate=rate, options=options)
    stream.width, stream.height, stream.pix_fmt = colours.width, colours.height, colours.pix_fmt
    stream.time_base = stream.codec_context.time_base = given.time_base
    stream.color_range, stream.colorspace = colours.tagged_range, colours.tagged_matrix
    stream.color_primaries, stream.color_trc = first.color_primaries, first.color_trc
    if stream.pix_fmt not in [taken.name for taken in stream.codec_context.codec.video_formats]:
        raise ImageError(f"{stream.name} does not keep the film's 10 bits ({stream.pix_fmt}); write .mkv or .mp4")
    aspect = given.sample_aspect_ratio
    if aspect and aspect != 1:
        if webm:
            raise ImageError(f"pixels of the shape {aspect} are not kept in .webm; write .mkv or .mp4")
        stream.sample_aspect_ratio = aspect
    describe(stream, given)
    return stream


def add_copy(written: OutputContainer, given: Any) -> Any:
    """A stream whose packets are copied; None, with a line in the log, where the container does not take it."""
    av = pyav()
    try:  # by itself: a stream cannot be taken back
        if given.disposition & av.stream.Disposition.attached_pic and written.format.name != "mp4":
            raise ValueError("a cover picture")  # of which others write nothing, or a film of one frame
        with av.open(io.BytesIO(), "w", format=written.format.name.split(",")[0]) as trial:
            trial.add_stream_from_template(given, opaque=True)
            trial.start_encoding()
        stream = written.add_stream_from_template(given, opaque=True)
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        log.warning("%s: left out the %s stream %d (%s), which %s does not take (%s)", given.container.name[5:],
                    given.type, given.index, given.name or "of no codec", written.format.name, reason)  # fmt: skip
        return None
    describe(stream, given)
    return stream


def describe(new: Any, old: Any) -> None:
    """Language, title and the like, and what the stream is for."""
    new.disposition = int(old.disposition)
    new.metadata.update({key: word for key, word in old.metadata.items() if key not in OWN_WORDS})


@contextmanager
def explained(source: Path, target: Path) -> Iterator[None]:
    """What FFmpeg cannot write as an error of ours, a full disk as the system's."""
    av = pyav()
    try:
        yield
    except av.error.FFmpegError as error:
        if error.errno in errno.errorcode and error.errno != errno.EINVAL:
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise ImageError(f"{source}: cannot be written as {target.suffix} ({error}); .mkv takes the most") from error


class Damage:
    """What of a film could not be read, told when all else was."""

    def __init__(self, path: Path):
        self.what, self._path, self._packets, self._end = "", path, 0, 0.0
        self._broken = pyav().error.FFmpegError

    def watched(self, container: InputContainer, pictures: VideoStream) -> Iterator[Any]:
        """All packets of the file, and one that empties the decoder."""
        packets: Iterator[Any] = container.demux()
        try:
            for packet in packets:
                if packet.size:
                    self._packets += packet.stream.index == pictures.index
                    begin = packet.pts if packet.pts is not None else packet.dts or 0
                    self._end = max(self._end, float((begin + (packet.duration or 0)) * packet.time_base))
                    if packet.is_corrupt:
                        self._note("damaged or cut off", packet)
                yield packet
        except self._broken as error:
            self._note(f"damaged ({error.strerror})")
            last = pyav().Packet()
            last.stream = pictures
            yield last

    def decoded(self, packet: Any) -> Iterator[Any]:
        """The frames of a packet; those that the decoder had to guess at among them."""
        try:
            frames = packet.decode()
        except self._broken as error:
            self._note(f"damaged ({error.strerror})", packet)
            return
        for frame in frames:
            if frame.is_corrupt:
                self._note("damaged", frame)
            yield frame

    def check_end(self, container: InputContainer, pictures: VideoStream) -> None:
        """See whether the file ended before what it promised: in its index, or the length in its header."""
        promised, name = len(pictures.index_entries), container.format.name
        if name.startswith("mov") and self._packets < promised:
            self._note(f"cut off after {self._packets} of {promised} frames")
        length = ((container.start_time or 0) + (container.duration or 0)) / 1e6
        if name.startswith(("matroska", "avi")) and self._end < length - LATE:
            self._note(f"cut off at {self._end:.2f} of {length:.2f} s")

    def _note(self, what: str, place: Any = None) -> None:
        time = place is not None and place.pts is not None and float(place.pts * place.time_base)
        self.what = self.what or (f"{what} at {time:.2f} s" if time is not False and place is not None else what)
