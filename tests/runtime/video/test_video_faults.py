"""Videos that are damaged, are none, or end too early: one line, and no file that lies."""

import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pnen_runtime import BackendMissing, ImageError
from pnen_runtime.video import smooth_video
from pnen_runtime.video_file import check_video_name, is_video

av = pytest.importorskip("av", reason="PyAV (extra video) is not installed")
ROOT = Path(__file__).parents[3]


def test_damage_is_said(clip, run, tmp_path, look):
    whole = clip(frames=32, container={"movflags": "faststart"})
    for share in (0.5, 0.8, 0.97):
        source, target = tmp_path / "cut.mp4", tmp_path / f"out{share}.mp4"
        source.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        done = run(source, target)
        assert done.exit_code == 1 and f"{source}: " in done.stderr, (share, done.output)
        kept = len(look.shown(target))
        assert 0 < kept <= 32 and f"{target} holds the {kept} frames that could be read" in done.stderr, done.stderr
    source.write_bytes(whole.read_bytes()[:2000])
    done = run(source, tmp_path / "none.mp4")
    assert done.exit_code == 1 and done.stderr.count("\n") == 1 and not (tmp_path / "none.mp4").exists()


@pytest.mark.parametrize("flags", ["frag_keyframe+empty_moov", "frag_keyframe+default_base_moof", "faststart"])
def test_whole_films_are_not_called_cut(clip, run, tmp_path, flags):
    done = run(clip(frames=32, container={"movflags": flags}), tmp_path / "out.mp4")
    assert done.exit_code == 0 and "32 frames" in done.stdout, done.output


def test_a_cut_matroska_is_said(clip, run, tmp_path):
    whole = clip("in.mkv", frames=32)
    source = tmp_path / "cut.mkv"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    done = run(source, tmp_path / "out.mkv")
    assert done.exit_code == 1 and "frames that could be read" in done.stderr, done.output


def test_a_damaged_frame_is_said(clip, run, tmp_path):
    # One and the same damage: of 60 random ones FFmpeg takes 2 for pictures, as H.264 has no checksums.
    source = clip(frames=24, sound=None, options={"crf": "4", "g": "4", "bf": "0"})
    with av.open(str(source)) as file:
        spots = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size]
    content = bytearray(source.read_bytes())
    position, size = spots[8]
    content[position + size // 3 : position + size // 2] = np.random.default_rng(0).bytes(size // 2 - size // 3)
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


@pytest.mark.skipif(os.name != "posix", reason="limits as POSIX has them")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_disk_that_takes_no_more_leaves_nothing(clip, model, tmp_path, suffix):
    source, target = clip(frames=32), tmp_path / ("out" + suffix)
    script = (
        "import resource\nfrom pnen_runtime import cli\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\ncli.smooth()\n"
    )
    words = [sys.executable, "-c", script, source, target, "-m", model("identity"), "--threads", "1"]
    done = subprocess.run([*map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and str(target) in done.stderr, done
    assert "File too large" in done.stderr
    assert {file.name for file in tmp_path.iterdir()} == {"in.mp4", "identity.onnx"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
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
        ((source, tmp_path / "out.mp4", "--strip"), "expected --strip with pictures alone, got a video"),
    ):
        done = run(*words, input=b"")
        assert done.exit_code in (1, 2) and line in done.stderr and done.stderr.count("\n") == 1, (words, done.output)
    assert not photo.exists()
    with pytest.raises(ImageError, match="videos go through pnen-smooth and pnen_runtime.video"):
        toy.run(source)
    with pytest.raises(ImageError):
        check_video_name(Path("a.gif"))
    assert is_video(Path("A.MOV")) and not is_video(Path("a.gif"))


def test_a_folder_of_pictures_names_its_videos(clip, run, tmp_path, look):

    source = clip(frames=2)
    Image.fromarray(look.photo[:32, :32]).save(tmp_path / "a.png")
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
