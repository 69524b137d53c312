"""Videos: every frame through the network, and all else as it was."""

from fractions import Fraction

import numpy as np
import pytest
from click.testing import CliRunner

from pnen_runtime import Smoother, Upscaler, UsageError
from pnen_runtime.cli import smooth
from pnen_runtime.video import smooth_video
from pnen_runtime.video_file import add_copy

av = pytest.importorskip("av", reason="PyAV (extra video) is not installed")
BT709, BT601 = 1, 6
LIMITED, FULL = 1, 2
WIDE, HIGH = 96, 64


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".m4v"])
def test_frames_times_sound_and_words_are_those_of_the_film(clip, run, tmp_path, suffix, look):
    source, target = clip("in" + suffix), tmp_path / ("out" + suffix)
    done = run(source, target)
    assert done.exit_code == 0 and not done.stderr, done.output
    assert f"{source} -> {target}  16 frames of 96x64" in done.stdout
    assert look.times(target) == look.times(source) and len(look.shown(target)) == 16
    assert look.packets(target, "audio") == look.packets(source, "audio") != []
    with av.open(str(source)) as old, av.open(str(target)) as new:
        assert new.metadata["title"] == "A film" and new.streams.audio[0].metadata["language"] == "eng"
        assert [(mark["start"] * mark["time_base"], mark["metadata"]) for mark in new.chapters()] == [
            (0, {"title": "One"})
        ]
        assert abs(new.duration - old.duration) <= 1000 and new.streams.video[0].average_rate == 25
        assert new.streams.video[0].codec_context.name == "h264" and len(new.streams) == len(old.streams)
    assert {file.name for file in tmp_path.iterdir() if file.suffix != ".onnx"} == {source.name, target.name}


def test_pictures_go_through_the_network(clip, run, tmp_path, look):
    source, target = clip(), tmp_path / "out.mp4"
    assert run(source, target, kind="invert").exit_code == 0
    for old, new in zip(look.shown(source), look.shown(target), strict=True):
        difference = (255 - new.to_ndarray(format="rgb24").astype(int)) - old.to_ndarray(format="rgb24")
        assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize(("matrix", "tag"), [(BT709, True), (BT601, True), (BT601, False)])  # as small ones are taken
def test_colours_come_back(clip, model, tmp_path, pix_fmt, matrix, tag, look):
    range_ = FULL if pix_fmt.startswith("yuvj") else LIMITED
    source, target = clip(pix_fmt=pix_fmt, matrix=matrix, range_=range_, tag=tag, frames=8), tmp_path / "out.mp4"
    with Smoother(model("identity"), threads=1) as smoother:
        seen = []
        smoother.run = lambda pixels, **_: seen.append(pixels) or pixels
        smooth_video(smoother, source, target, quality=98)
    full = 65535 if "10" in pix_fmt else 255
    for number, (old, new) in enumerate(zip(look.shown(source), look.shown(target), strict=True)):
        assert new.format.name == old.format.name and new.color_range == old.color_range
        assert (new.colorspace, new.color_primaries, new.color_trc) == (
            old.colorspace, old.color_primaries, old.color_trc)  # fmt: skip
        unit = 4 if "10" in pix_fmt else 1
        for before, after in zip(look.yuv(old), look.yuv(new), strict=True):
            shift = 1.01 if range_ == FULL else 0.3  # libswscale cuts full-range chroma instead of rounding it
            assert np.abs(before - after).mean() < max(1, shift) * unit
            assert np.abs(before.mean() - after.mean()) <= shift * unit
        right = np.abs(seen[number] * (255 / full) - look.picture(number))  # by the formula, not by FFmpeg
        assert right.mean() < 2, right.mean()


def test_a_variable_rate_stays(clip, toy, tmp_path, look):
    moments = [0, 512, 700, 2000, 2001, 5000, 9000, 9512, 12800, 12900, 13000, 20000]
    source = clip(frames=12, times=moments)
    smooth_video(toy, source, tmp_path / "out.mp4")
    assert look.times(tmp_path / "out.mp4") == look.times(source) == [Fraction(moment, 12800) for moment in moments]
    smooth_video(toy, source, tmp_path / "out.mkv")  # whose clock ticks in milliseconds
    off = [new - old for new, old in zip(look.times(tmp_path / "out.mkv"), look.times(source), strict=True)]
    assert max(off) - min(off) <= Fraction(1, 1000)
    before = look.packets(source, "audio")[0][0]  # a film may begin before 0 in .mp4 alone: all of it moves
    assert (
        abs(off[0] - (look.packets(tmp_path / "out.mkv", "audio")[0][0] - before)) <= Fraction(1, 1000) and before < 0
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("turn", [90, 180, -90])
def test_it_plays_the_same_way_up_and_wide(clip, toy, tmp_path, turn, suffix, look):
    source, target = clip(turn=turn, aspect=Fraction(4, 3), frames=4), tmp_path / ("out" + suffix)
    smooth_video(toy, source, target)
    for frame in [*look.shown(target), *look.shown(source)]:
        assert (frame.rotation - turn) % 360 == 0
    with av.open(str(target)) as file:
        assert file.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    if turn == 90:
        with pytest.raises(UsageError, match="map of strengths is not taken for a video that is shown turned"):
            smooth_video(toy, source, target, strength=np.ones((HIGH, WIDE)))


def test_webm_is_vp9(clip, run, tmp_path, look):
    source, target = clip("in.mkv", sound="libopus", frames=6), tmp_path / "out.webm"
    done = run(source, target)
    assert done.exit_code == 0, done.output
    with av.open(str(target)) as file:
        assert [stream.codec_context.name for stream in file.streams] == ["vp9", "opus"]
    assert look.times(target) == look.times(source) and look.packets(target, "audio") == look.packets(source, "audio")
    for old, new in zip(look.shown(source), look.shown(target), strict=True):
        assert (new.colorspace, new.color_range) == (old.colorspace, old.color_range)
        assert np.abs(look.yuv(old)[0] - look.yuv(new)[0]).mean() < 3


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


def test_a_network_that_enlarges_makes_larger_frames(clip, write, card, tmp_path, look):
    path = write(tmp_path / "double.onnx", "grey", card(task={"scale": 2}, channels=1))
    source = clip(frames=4, tag=False)
    with Upscaler(path, threads=1) as upscaler:
        film = smooth_video(upscaler, source, tmp_path / "out.mp4")
        with pytest.raises(UsageError, match="no detail"):
            smooth_video(upscaler, source, tmp_path / "out.mp4", detail=1)
    frames = look.shown(tmp_path / "out.mp4")
    assert (film.width, film.height) == (frames[0].width, frames[0].height) == (192, 128)
    assert frames[0].colorspace == 6  # said now: players go by size where nothing is said
    small = look.shown(source)[0].to_ndarray(format="rgb24").astype(int)
    assert np.abs(frames[0].to_ndarray(format="rgb24")[::2, ::2] - small).mean() < 6


def test_strength_is_passed_on_and_estimated_once(clip, model, tmp_path, monkeypatch, look):
    source = clip(frames=6)
    with Smoother(model("dim"), threads=1) as smoother:
        smooth_video(smoother, source, tmp_path / "out.mp4", strength=np.full((HIGH, WIDE), 0.1))
        assert look.shown(tmp_path / "out.mp4")[3].to_ndarray(format="rgb24").mean() < 30
        with pytest.raises(UsageError, match="expected a strength for every pixel of 96x64"):
            smooth_video(smoother, source, tmp_path / "out.mp4", strength=np.full((HIGH, 8), 0.1))
    levels = {"least": 0, "most": 50, "default": 15, "unit": "levels", "scale": "linear"}
    noisy = model("dim", task={"noise": 25, "colour": True}, strength=levels)
    done = CliRunner().invoke(smooth, [str(source), str(tmp_path / "clean.mp4"), "-m", str(noisy), "--threads", "1"])
    assert done.exit_code == 0 and done.stdout.count("estimated") == 1, done.output


def test_quality_is_obeyed_and_what_is_said_is_true(clip, toy, tmp_path):
    source, sizes = clip(), []
    for quality in (30, 70, 100):
        told = []
        smooth_video(toy, source, tmp_path / "out.mp4", quality=quality, progress=lambda *pair: told.append(pair))  # noqa: B023
        sizes.append((tmp_path / "out.mp4").stat().st_size)
        assert told == [(number, 16) for number in range(1, 17)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]


def test_odd_sizes_and_interlaced_films(clip, run, toy, tmp_path, caplog, look):
    odd = clip("odd.mkv", codec="ffv1", pix_fmt="yuv444p", frames=3, sound=None, options={}, width=95, height=63)
    smooth_video(toy, odd, tmp_path / "out.mkv")
    assert look.shown(tmp_path / "out.mkv")[0].width == 95
    lines = clip("tv.mp4", frames=4, options={"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "4"})
    assert look.shown(lines)[0].interlaced_frame
    assert run(lines, tmp_path / "out.mp4").exit_code == 0 and "it is interlaced" in caplog.text


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_cover_is_not_the_film(clip, toy, tmp_path, caplog, suffix):
    source, both = clip(frames=4), tmp_path / "cover.mp4"
    with av.open(str(source)) as old, av.open(str(both), "w") as new:
        cover = new.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt, cover.color_range = 32, 32, "yuvj420p", FULL
        cover.disposition = av.stream.Disposition.attached_pic
        kept = add_copy(new, old.streams.video[0])
        new.mux(cover.encode(av.VideoFrame(32, 32, "yuvj420p")))
        new.mux(cover.encode(None))
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = kept
                new.mux(packet)
    film = smooth_video(toy, both, tmp_path / ("out" + suffix))
    assert (film.width, film.frames) == (WIDE, 4)
    with av.open(str(both)) as old, av.open(str(tmp_path / ("out" + suffix))) as new:
        names = [sorted(stream.codec_context.name for stream in file.streams.video) for file in (old, new)]
    assert names == [["h264", "mjpeg"], ["h264", "mjpeg"] if suffix == ".mp4" else ["h264"]]
    assert ("left out the video stream 1 (mjpeg)" in caplog.text) == (suffix != ".mp4")


def test_fonts_of_subtitles_are_kept(clip, toy, tmp_path, caplog):
    source, font = clip(frames=4), tmp_path / "font.mkv"
    with av.open(str(source)) as old, av.open(str(font), "w") as new:
        kept = add_copy(new, old.streams.video[0])
        new.add_attachment("Letters.ttf", "application/x-truetype-font", b"letters")
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = kept
                new.mux(packet)
    smooth_video(toy, font, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert [(part.name, part.data) for part in file.streams.attachments] == [("Letters.ttf", b"letters")]
    assert not caplog.text
    smooth_video(toy, font, tmp_path / "out.mp4")
    assert "left out the attachment stream 1 (Letters.ttf), which mp4 does not take" in caplog.text


@pytest.mark.parametrize(("name", "codec", "sound"), [
    ("in.avi", "mpeg4", "mp3"), ("in.ts", "mpeg2video", "aac"), ("in.flv", "libx264", "aac"),
    ("in.mpg", "mpeg2video", "mp2"),
])  # fmt: skip
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_other_containers_are_read(clip, run, tmp_path, look, name, codec, sound, suffix):
    source = clip(name, codec=codec, sound=sound, options={"qmax": "3", "g": "8"}, clock=25)
    done = run(source, tmp_path / ("out" + suffix))
    assert done.exit_code == 0, done.output
    old, new = look.times(source), look.times(tmp_path / ("out" + suffix))
    assert len(new) == len(old) == 16
    np.testing.assert_allclose(np.diff(np.array(new, float)), np.diff(np.array(old, float)), atol=0.0011)
    assert len(look.packets(tmp_path / ("out" + suffix), "audio")) == len(look.packets(source, "audio"))
