"""Videos: every frame through the network, and all else as it was."""

import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from skimage import data

from pnen_runtime import BackendMissing, ImageError, Smoother, Upscaler, UsageError
from pnen_runtime.cli import smooth
from pnen_runtime.video import smooth_raw, smooth_video
from pnen_runtime.video_file import add_copy, check_video_name, is_video

av = pytest.importorskip("av", reason="PyAV (extra video) is not installed")
ROOT = Path(__file__).parents[2]
PHOTO = data.coffee()
WIDE, HIGH = 96, 64
MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}  # red and blue of luma: BT.709, BT.601
LIMITED, FULL = 1, 2


def picture(number, width=WIDE, height=HIGH):
    """A photograph that moves, (H, W, 3) uint8, without colour that chroma of half the size would lose."""
    part = PHOTO[80 + number : 80 + number + 2 * height : 2, 100 : 100 + 2 * width : 2].astype(float)
    grey = part.mean(2, keepdims=True)
    return np.clip(0.7 * grey + [60, 10, 0], 0, 255)


def planes(rgb, matrix, range_, peak=255):
    """Y, U and V by the formulas of ITU-R BT.601 and BT.709, of the pixels' own size."""
    kr, kb = MATRICES[matrix]
    red, green, blue = np.moveaxis(rgb, 2, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    parts = [luma, (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))]
    scale = [(219, 16), (224, 128), (224, 128)] if range_ == LIMITED else [(255, 0), (255, 128), (255, 128)]
    unit = (peak + 1) // 256
    return [(part * gain / 255 + zero) * unit for part, (gain, zero) in zip(parts, scale, strict=True)]


def a_frame(number, pix_fmt="yuv420p", matrix=1, range_=LIMITED, **size):
    rgb = picture(number, **size)
    frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], pix_fmt)
    deep = "10" in pix_fmt
    for plane, part in zip(frame.planes, planes(rgb, matrix, range_, 1023 if deep else 255), strict=True):
        down, across = part.shape[0] // plane.height, part.shape[1] // plane.width
        small = part.reshape(plane.height, down, plane.width, across).mean((1, 3))
        rows = np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(plane.height, -1)
        rows[:, : plane.width] = np.rint(small)
    frame.colorspace, frame.color_range = matrix, range_
    return frame


@pytest.fixture
def clip(tmp_path):
    """clip(name, ...) → path of a clip of a moving photograph, with a tone, a subtitle, a title and a chapter."""

    def make(name="in.mp4", frames=16, *, codec="libx264", pix_fmt="yuv420p", matrix=1, range_=LIMITED, times=None,
             sound="aac", subtitle=None, turn=0, aspect=None, options=None, tag=True, trc=1, container=None,
             **size):  # fmt: skip
        path = tmp_path / name
        with av.open(str(path), "w", container_options=container) as file:
            video = file.add_stream(codec, rate=25, options=options or {"crf": "4", "bf": "2", "g": "8"})
            first = picture(0, **size)
            video.height, video.width, video.pix_fmt = *first.shape[:2], pix_fmt
            video.time_base = video.codec_context.time_base = Fraction(1, 12800)
            if tag:
                video.colorspace, video.color_range, video.color_primaries, video.color_trc = matrix, range_, 1, trc
            if aspect:
                video.sample_aspect_ratio = aspect
            if turn:
                video.set_display_rotation(turn)
            file.metadata["title"] = "A film"
            file.set_chapters([{"id": 1, "start": 0, "end": 300, "time_base": Fraction(1, 1000),
                                "metadata": {"title": "One"}}])  # fmt: skip
            tone = sound and file.add_stream(sound, rate=48000)
            if tone:
                tone.metadata["language"] = "eng"
            words = subtitle and file.add_mux_stream(subtitle)
            for number in range(frames):
                frame = a_frame(number, pix_fmt, matrix, range_, **size)
                frame.pts = times[number] if times else 512 * number
                frame.time_base = Fraction(1, 12800)
                file.mux(video.encode(frame))
            file.mux(video.encode(None))
            for number in range(frames * 2 if tone else 0):
                wave = np.sin(np.arange(1024) * 0.05 + number)[None].repeat(2, 0).astype(np.float32)
                part = av.AudioFrame.from_ndarray(wave, "fltp", "stereo")
                part.sample_rate, part.pts, part.time_base = 48000, 1024 * number, Fraction(1, 48000)
                file.mux(tone.encode(part))
            if tone:
                file.mux(tone.encode(None))
            if words:
                packet = av.Packet(b"Hello")
                packet.stream, packet.pts, packet.dts, packet.duration = words, 0, 0, 300
                packet.time_base = Fraction(1, 1000)
                file.mux(packet)
        return path

    return make


def shown(path):
    """The frames of a video as PyAV decodes them."""
    with av.open(str(path)) as file:
        return list(file.decode(video=0))


def yuv(frame):
    """Y, U and V of a frame as integers."""
    kind = np.uint16 if "10" in frame.format.name else np.uint8
    return [
        np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width].astype(int) for plane in frame.planes
    ]


def packets(path, kind):
    with av.open(str(path)) as file:
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in file.demux(**{kind: 0}) if packet.size]


def times(path):
    return [frame.pts * frame.time_base for frame in shown(path)]


@pytest.fixture
def toy(model):
    with Smoother(model("identity"), threads=1) as smoother:
        yield smoother


@pytest.fixture
def run(model):
    return lambda *words, kind="identity", **more: CliRunner().invoke(
        smooth, [*map(str, words), "-m", str(model(kind)), "--threads", "1"], **more)  # fmt: skip


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".m4v"])
def test_frames_times_sound_and_words_are_those_of_the_film(clip, run, tmp_path, suffix):
    source, target = clip("in" + suffix), tmp_path / ("out" + suffix)
    done = run(source, target)
    assert done.exit_code == 0 and not done.stderr, done.output
    assert f"{source} -> {target}  16 frames of 96x64" in done.stdout
    assert times(target) == times(source) and len(shown(target)) == 16
    assert packets(target, "audio") == packets(source, "audio") != []
    with av.open(str(source)) as old, av.open(str(target)) as new:
        assert new.metadata["title"] == "A film" and new.streams.audio[0].metadata["language"] == "eng"
        assert [(mark["start"] * mark["time_base"], mark["metadata"]) for mark in new.chapters()] == [
            (0, {"title": "One"})
        ]
        assert abs(new.duration - old.duration) <= 1000 and new.streams.video[0].average_rate == 25
        assert new.streams.video[0].codec_context.name == "h264" and len(new.streams) == len(old.streams)
    assert {file.name for file in tmp_path.iterdir() if file.suffix != ".onnx"} == {source.name, target.name}


def test_pictures_go_through_the_network(clip, run, tmp_path):
    source, target = clip(), tmp_path / "out.mp4"
    assert run(source, target, kind="invert").exit_code == 0
    for old, new in zip(shown(source), shown(target), strict=True):
        difference = (255 - new.to_ndarray(format="rgb24").astype(int)) - old.to_ndarray(format="rgb24")
        assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("tag", [True, False])
def test_colours_come_back(clip, model, tmp_path, pix_fmt, matrix, tag):
    range_ = FULL if pix_fmt.startswith("yuvj") else LIMITED
    if not tag and matrix == 1:
        pytest.skip("an untagged small film is taken as BT.601")
    source, target = clip(pix_fmt=pix_fmt, matrix=matrix, range_=range_, tag=tag, frames=8), tmp_path / "out.mp4"
    with Smoother(model("identity"), threads=1) as smoother:
        seen = []
        smoother.run = lambda pixels, **_: seen.append(pixels) or pixels
        smooth_video(smoother, source, target, quality=98)
    full = 65535 if "10" in pix_fmt else 255
    for number, (old, new) in enumerate(zip(shown(source), shown(target), strict=True)):
        assert new.format.name == old.format.name and new.color_range == old.color_range
        assert (new.colorspace, new.color_primaries, new.color_trc) == (
            old.colorspace, old.color_primaries, old.color_trc)  # fmt: skip
        unit = 4 if "10" in pix_fmt else 1
        for before, after in zip(yuv(old), yuv(new), strict=True):
            shift = 1.01 if range_ == FULL else 0.3  # libswscale cuts full-range chroma instead of rounding it
            assert np.abs(before - after).mean() < max(1, shift) * unit
            assert np.abs(before.mean() - after.mean()) <= shift * unit
        right = np.abs(seen[number] * (255 / full) - picture(number))  # by the formula, not by FFmpeg
        assert right.mean() < 2, right.mean()


def test_a_variable_rate_stays(clip, toy, tmp_path):
    moments = [0, 512, 700, 2000, 2001, 5000, 9000, 9512, 12800, 12900, 13000, 20000]
    source = clip(frames=12, times=moments)
    smooth_video(toy, source, tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == times(source) == [Fraction(moment, 12800) for moment in moments]
    smooth_video(toy, source, tmp_path / "out.mkv")  # whose clock ticks in milliseconds
    off = [new - old for new, old in zip(times(tmp_path / "out.mkv"), times(source), strict=True)]
    assert max(off) - min(off) <= Fraction(1, 1000)
    before = packets(source, "audio")[0][0]  # a film may begin before 0 in .mp4 alone: all of it moves
    assert abs(off[0] - (packets(tmp_path / "out.mkv", "audio")[0][0] - before)) <= Fraction(1, 1000) and before < 0


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("turn", [90, 180, -90])
def test_it_plays_the_same_way_up_and_wide(clip, toy, tmp_path, turn, suffix):
    source, target = clip(turn=turn, aspect=Fraction(4, 3), frames=4), tmp_path / ("out" + suffix)
    smooth_video(toy, source, target)
    for frame in [*shown(target), *shown(source)]:
        assert (frame.rotation - turn) % 360 == 0
    with av.open(str(target)) as file:
        assert file.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    if turn == 90:
        with pytest.raises(UsageError, match="map of strengths is not taken for a video that is shown turned"):
            smooth_video(toy, source, target, strength=np.ones((HIGH, WIDE)))


def test_webm_is_vp9(clip, run, tmp_path):
    source, target = clip("in.mkv", sound="libopus", frames=6), tmp_path / "out.webm"
    done = run(source, target)
    assert done.exit_code == 0, done.output
    with av.open(str(target)) as file:
        assert [stream.codec_context.name for stream in file.streams] == ["vp9", "opus"]
    assert times(target) == times(source) and packets(target, "audio") == packets(source, "audio")
    for old, new in zip(shown(source), shown(target), strict=True):
        assert (new.colorspace, new.color_range) == (old.colorspace, old.color_range)
        assert np.abs(yuv(old)[0] - yuv(new)[0]).mean() < 3


def test_what_a_container_does_not_take_is_named(clip, run, tmp_path, caplog):
    source = clip("in.mkv", subtitle="subrip", frames=6)
    done = run(source, tmp_path / "out.mp4")
    assert done.exit_code == 0 and "left out the subtitle stream 2 (srt), which mp4 does not take" in caplog.text
    caplog.clear()
    done = run(source, tmp_path / "out.mkv")
    assert done.exit_code == 0 and not caplog.text
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert [bytes(packet) for packet in file.demux(subtitles=0) if packet.size] == [b"Hello"]
    done = run(source, tmp_path / "out.webm")
    assert done.exit_code == 0 and "left out the audio stream 1 (aac)" in caplog.text


def test_a_network_that_enlarges_makes_larger_frames(clip, write, card, tmp_path):
    path = write(tmp_path / "double.onnx", "grey", card(task={"scale": 2}, channels=1))
    source = clip(frames=4, tag=False)
    with Upscaler(path, threads=1) as upscaler:
        film = smooth_video(upscaler, source, tmp_path / "out.mp4")
        with pytest.raises(UsageError, match="no detail"):
            smooth_video(upscaler, source, tmp_path / "out.mp4", detail=1)
    frames = shown(tmp_path / "out.mp4")
    assert (film.width, film.height) == (frames[0].width, frames[0].height) == (192, 128)
    assert frames[0].colorspace == 6  # said now: players go by size where nothing is said
    small = shown(source)[0].to_ndarray(format="rgb24").astype(int)
    assert np.abs(frames[0].to_ndarray(format="rgb24")[::2, ::2] - small).mean() < 6


def test_strength_is_passed_on_and_estimated_once(clip, model, tmp_path, monkeypatch):
    source = clip(frames=6)
    with Smoother(model("dim"), threads=1) as smoother:
        smooth_video(smoother, source, tmp_path / "out.mp4", strength=np.full((HIGH, WIDE), 0.1))
        assert shown(tmp_path / "out.mp4")[3].to_ndarray(format="rgb24").mean() < 30
        with pytest.raises(UsageError, match="expected a strength for every pixel of 96x64"):
            smooth_video(smoother, source, tmp_path / "out.mp4", strength=np.full((HIGH, 8), 0.1))
    levels = {"least": 0, "most": 50, "default": 15, "unit": "levels", "scale": "linear"}
    noisy = model("dim", task={"noise": 25, "colour": True}, strength=levels)
    done = CliRunner().invoke(smooth, [str(source), str(tmp_path / "clean.mp4"), "-m", str(noisy), "--threads", "1"])
    assert done.exit_code == 0 and done.stdout.count("estimated") == 1, done.output


def test_damage_is_said(clip, run, tmp_path):
    whole = clip(frames=32, container={"movflags": "faststart"})
    for share in (0.5, 0.8, 0.97):
        source, target = tmp_path / "cut.mp4", tmp_path / f"out{share}.mp4"
        source.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        done = run(source, target)
        assert done.exit_code == 1 and f"{source}: " in done.stderr, (share, done.output)
        kept = len(shown(target))
        assert 0 < kept <= 32 and f"{target} holds the {kept} frames that could be read" in done.stderr, done.stderr
    source.write_bytes(whole.read_bytes()[:2000])
    done = run(source, tmp_path / "none.mp4")
    assert done.exit_code == 1 and done.stderr.count("\n") == 1 and not (tmp_path / "none.mp4").exists()


def test_a_cut_matroska_is_said(clip, run, tmp_path):
    whole = clip("in.mkv", frames=32)
    source = tmp_path / "cut.mkv"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    done = run(source, tmp_path / "out.mkv")
    assert done.exit_code == 1 and "frames that could be read" in done.stderr, done.output


def test_a_damaged_frame_is_said(clip, run, tmp_path):
    source = clip(frames=24, sound=None, options={"crf": "4", "g": "4", "bf": "0"})
    with av.open(str(source)) as file:
        spots = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size]
    content = bytearray(source.read_bytes())
    position, size = spots[8]
    content[position + size // 3 : position + size // 2] = os.urandom(size // 2 - size // 3)
    source.write_bytes(content)
    done = run(source, tmp_path / "out.mp4")
    assert done.exit_code == 1 and "damaged" in done.stderr and "0.3" in done.stderr, done.output


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{0}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {0}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
            "<BaseURL>{0}</BaseURL></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
           "a=rtpmap:96 H264/90000\n",
    "text": "hello",
}  # fmt: skip


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_opens_nothing_else(clip, run, tmp_path, kind):
    clip("secret.ts", frames=4)
    source = tmp_path / "list.mp4"
    source.write_text(PLAYLISTS[kind].format("secret.ts"))
    done = run(source, tmp_path / "out.mp4")
    assert done.exit_code == 1 and "expected a video (mov,matroska" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_nothing(clip, model, tmp_path, number, code):
    source, target = clip(frames=32), tmp_path / "out.mp4"
    script = (
        "import os, sys\nfrom pnen_runtime import Smoother, cli\nrun, seen = Smoother.run, []\n"
        "def some(self, image, **more):\n"
        "    seen.append(1)\n"
        f"    if len(seen) == 12: os.kill(os.getpid(), {int(number)})\n"
        "    return run(self, image, **more)\n"
        "Smoother.run = some\ncli.smooth()\n"
    )
    words = [sys.executable, "-c", script, source, target, "-m", model("identity"), "--threads", "1"]
    done = subprocess.run([*map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code and done.stderr == "Error: interrupted\n", done
    assert {file.name for file in tmp_path.iterdir()} == {"in.mp4", "identity.onnx"}


def test_without_pyav_one_line_says_what_to_install(clip, run, tmp_path, monkeypatch):
    source = clip(frames=2)
    monkeypatch.setitem(sys.modules, "av", None)
    done = run(source, tmp_path / "out.mp4")
    assert done.exit_code == 4 and 'the extra "video"' in done.stderr and "pip install av" in done.stderr
    assert done.stderr.count("\n") == 1
    with pytest.raises(BackendMissing):
        smooth_video(None, source, tmp_path / "out.mp4")


def test_names_that_do_not_fit_are_told(clip, run, tmp_path, toy):
    source, photo = clip(frames=2), tmp_path / "photo.png"
    for words, line in (
        ((source, tmp_path / "out.png"), "expected a name that ends in .mp4, .m4v, .mov, .mkv, .webm for a video"),
        ((source, tmp_path / "out.avi"), "expected a name that ends in .mp4"),
        ((source, "-"), "is a video, which is written to a file"),
        (("-", tmp_path / "out.mp4"), "expected a video for"),
        ((source, tmp_path / "out.mp4", "--raw", "8x8"), "give - - as IN and OUT"),
        (("-", "-", "--raw", "8by8"), "expected the frames' size, such as 640x480, got '8by8'"),
        ((source, source), "would be overwritten"),
    ):
        done = run(*words, input=b"")
        assert done.exit_code in (1, 2) and line in done.stderr and done.stderr.count("\n") == 1, (words, done.output)
    assert not photo.exists()
    with pytest.raises(ImageError, match="videos go through pnen-smooth and pnen_runtime.video"):
        toy.run(source)
    with pytest.raises(ImageError):
        check_video_name(Path("a.gif"))
    assert is_video(Path("A.MOV")) and not is_video(Path("a.gif"))


def test_a_folder_of_pictures_names_its_videos(clip, run, tmp_path):
    from PIL import Image

    source = clip(frames=2)
    Image.fromarray(PHOTO[:32, :32]).save(tmp_path / "a.png")
    done = run(tmp_path, tmp_path / "out")
    assert done.exit_code == 0 and f"skipped {source}: a video; name it to take it" in done.stderr
    done = run(tmp_path / "a.png", source, tmp_path / "both")
    assert done.exit_code == 0 and {file.name for file in (tmp_path / "both").iterdir()} == {"a.png", "in.mp4"}


def test_hdr_and_deep_colour_for_webm_are_refused(clip, run, tmp_path):
    hdr = clip("hdr.mp4", frames=2, pix_fmt="yuv420p10le", trc=16)
    done = run(hdr, tmp_path / "out.mp4")
    assert done.exit_code == 1 and "got HDR (PQ)" in done.stderr and done.stderr.count("\n") == 1
    deep = clip("deep.mp4", frames=2, pix_fmt="yuv420p10le", sound=None)
    done = run(deep, tmp_path / "out.webm")
    assert done.exit_code == 1 and "10 bits" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    wide = clip("wide.mp4", frames=2, aspect=Fraction(2, 1), sound=None)
    done = run(wide, tmp_path / "out.webm")
    assert done.exit_code == 1 and "write .mkv or .mp4" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "out.webm").exists() and not list(tmp_path.glob(".*"))


def test_quality_is_obeyed_and_what_is_said_is_true(clip, toy, tmp_path):
    source, sizes = clip(), []
    for quality in (30, 70, 100):
        told = []
        smooth_video(toy, source, tmp_path / "out.mp4", quality=quality, progress=lambda *pair: told.append(pair))  # noqa: B023
        sizes.append((tmp_path / "out.mp4").stat().st_size)
        assert told == [(number, 16) for number in range(1, 17)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]


def test_odd_sizes_and_interlaced_films(clip, run, toy, tmp_path, caplog):
    odd = clip("odd.mkv", codec="ffv1", pix_fmt="yuv444p", frames=3, sound=None, options={}, width=95, height=63)
    smooth_video(toy, odd, tmp_path / "out.mkv")
    assert shown(tmp_path / "out.mkv")[0].width == 95
    lines = clip("tv.mp4", frames=4, options={"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "4"})
    assert shown(lines)[0].interlaced_frame
    assert run(lines, tmp_path / "out.mp4").exit_code == 0 and "it is interlaced" in caplog.text


def raw(model, *words, given):
    command = [
        sys.executable,
        "-m",
        "pnen_runtime",
        "--raw",
        "40x32",
        "-",
        "-",
        "-m",
        model("invert"),
        "--threads",
        "1",
    ]
    return subprocess.run([*map(str, command), *words], cwd=ROOT, input=given, capture_output=True)


def test_raw_frames_go_through_pipes(model):
    frames = PHOTO[: 3 * 32, :40].reshape(3, 32, 40, 3)
    done = raw(model, given=frames.tobytes())
    assert done.returncode == 0 and b"3 frames of 40x32" in done.stderr
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.uint8).reshape(frames.shape), 255 - frames)
    torn = raw(model, given=frames.tobytes()[:-1])
    assert torn.returncode == 1 and b"got 3839 bytes after frame 2" in torn.stderr and b"3 frames" not in torn.stderr
    assert len(torn.stdout) == 2 * 3840
    assert raw(model, given=b"").returncode == 1


def test_raw_frames_in_a_program(toy):
    import io

    out = io.BytesIO()
    film = smooth_raw(toy, 40, 32, io.BytesIO(bytes(2 * 3840)), out)
    assert film.frames == 2 and out.getvalue() == bytes(2 * 3840)


def test_a_cover_is_not_the_film(clip, toy, tmp_path):
    source = clip(frames=4)
    with av.open(str(source)) as old, av.open(str(tmp_path / "in2.mkv"), "w") as new:
        cover = new.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt, cover.color_range = 32, 32, "yuvj420p", 2
        cover.disposition = av.stream.Disposition.attached_pic
        kept = add_copy(new, old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = kept
                new.mux(packet)
        new.mux(cover.encode(av.VideoFrame(32, 32, "yuvj420p")))
        new.mux(cover.encode(None))
    film = smooth_video(toy, source, tmp_path / "out.mp4")
    assert (film.width, film.frames) == (WIDE, 4)
