"""The classical filters in programs: results as ever, for every kind of picture, and no package more than needed."""

import hashlib
import inspect
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from skimage import data

from pnen_runtime import BackendMissing, ImageError, UsageError, filters
from pnen_runtime.filters.by_name import FILTERS, STRENGTH, filter_values

RUN = {name: getattr(filters, name) for name in FILTERS}
# of 8-bit results as `pnen-train filter` wrote them when it alone had the filters
AS_EVER = {
    ("l0", ()): "1fe7fd8ffebd7bbb",
    ("l0", (("strength", 0.1),)): "3a26bd0c5af83d3b",
    ("l0", (("kappa", 3),)): "04984f0c5bee9511",
    ("wmf", ()): "bc473e3edcac4d50",
    ("wmf", (("sigma", 20.0), ("radius", 4))): "bc050a8b530dbfcd",
    ("sd", ()): "dfa4cd0e80f24725",
    ("sd", (("strength", 5.0),)): "197b644908784c28",
}


@pytest.fixture
def photo():
    """(40, 48, 3) uint8."""
    return np.ascontiguousarray(data.coffee()[100:140, 120:168])


@pytest.mark.parametrize(("name", "settings"), AS_EVER)
def test_results_are_what_they_were(photo, name, settings):
    found = RUN[name](photo, **dict(settings))
    assert found.dtype == np.uint8 and found.shape == photo.shape
    assert hashlib.sha256(found.tobytes()).hexdigest()[:16] == AS_EVER[name, settings]


@pytest.mark.parametrize("name", FILTERS)
def test_the_settings_are_those_of_the_filter(name):
    own = {p.name: p.default for p in inspect.signature(FILTERS[name]).parameters.values() if p.default is not p.empty}
    given = {p.name: p.default for p in inspect.signature(RUN[name]).parameters.values() if p.name != "image"}
    assert given == own | {"mix": 1.0, "detail": None}
    assert STRENGTH[name] in own


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
@pytest.mark.parametrize("name", FILTERS)
def test_every_array_comes_back_as_its_kind(photo, name, kind, channels):
    full = 1.0 if kind.startswith("float") else float(np.iinfo(kind).max)
    grey = photo.mean(2, keepdims=True) / 255
    colour = grey if channels in (None, 1, 2) else photo / 255
    parts = [colour, np.clip(grey + 0.01, 0, 1)] if channels in (2, 4) else [colour]
    given = np.concatenate(parts, 2) * full
    given = (np.rint(given) if full > 1 else given).astype(kind)
    found = RUN[name](given[..., 0] if channels is None else given)
    assert found.dtype == given.dtype and found.shape == (given.shape[:2] if channels is None else given.shape)
    if channels in (2, 4):
        np.testing.assert_array_equal(found[..., -1], given[..., -1])
    seen = given[..., :3] if channels in (3, 4) else given[..., :1]
    wanted = np.clip(filter_values(np.broadcast_to(seen.astype(float) / full, photo.shape), name, {}), 0, 1)
    wanted = wanted if channels in (3, 4) else wanted.mean(2, keepdims=True)  # of grey all three are nearly equal
    found = found.reshape(*given.shape[:2], -1)[..., : seen.shape[2]].astype(float) / full
    np.testing.assert_allclose(found, wanted, atol=2e-3 if kind in ("uint8", "float16") else 1e-4)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "I;16", "F", "P", "1", "CMYK"])
def test_every_pil_image_comes_back_as_its_kind_with_its_metadata(photo, mode):
    rgb = Image.fromarray(photo)
    grey = np.asarray(rgb.convert("L"))
    whole = {"I;16": grey.astype(np.uint16) * 257, "F": grey.astype(np.float32) / 255}
    image = Image.fromarray(whole[mode]) if mode in whole else rgb.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(np.maximum(grey, 1)))
    image.info["dpi"] = (300, 300)
    found = filters.l0(image, strength=0.05)
    assert found.mode == {"P": "RGB", "1": "L", "CMYK": "RGB"}.get(mode, mode) and found.size == image.size
    assert found.info["dpi"] == (300, 300)
    if mode != "1":  # dots of black and white are edges all of them, which L0 keeps
        assert np.abs(np.asarray(found, float) - np.asarray(image.convert(found.mode), float)).max() > 0


def test_files_lists_and_frames(photo, tmp_path):
    wanted = filters.l0(photo)
    Image.fromarray(photo).save(tmp_path / "in.png")
    raw = (tmp_path / "in.png").read_bytes()
    for file in (tmp_path / "in.png", str(tmp_path / "in.png"), raw, io.BytesIO(raw)):
        np.testing.assert_array_equal(np.asarray(filters.l0(file)), wanted)
    one, other = filters.l0([photo, photo[::-1]])
    stack = filters.l0(np.stack([photo, photo[::-1]]))
    np.testing.assert_array_equal(stack, [one, other])
    np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize("name", FILTERS)
def test_colours_that_nobody_sees_reach_nothing(photo, name):
    clear = np.zeros((40, 48), bool)
    clear[:13], clear[20:27, 5:30] = True, True
    alpha = np.where(clear, 0, 200).astype(np.uint8)
    results = []
    for hidden in (0, 255, np.random.default_rng(0).integers(0, 256, photo.shape, np.uint8)):
        given = np.dstack([np.where(clear[..., None], hidden, photo).astype(np.uint8), alpha])
        results.append(RUN[name](given))
        np.testing.assert_array_equal(results[-1][clear], given[clear])  # what is hidden stays as it is
    for found in results[1:]:
        np.testing.assert_array_equal(found[~clear], results[0][~clear])
    assert (results[0][~clear][:, :3] != photo[~clear]).any()


@pytest.mark.parametrize(
    ("name", "settings"), [("l0", {"strength": 1.0}), ("wmf", {"sigma": 500.0}), ("sd", {"mu": 0, "nu": 0})]
)
def test_an_edge_beside_clear_pixels_is_not_darkened(name, settings):
    red = np.zeros((32, 32, 4), np.uint8)  # black where it is clear, as programs write it
    red[8:24, 8:24] = 60, 20, 20, 255
    assert (RUN[name](red[..., :3], **settings)[8:24, 8:24] != red[8:24, 8:24, :3]).any()  # it would be
    np.testing.assert_array_equal(RUN[name](red, **settings), red)
    empty = np.zeros((8, 8, 4), np.uint8)
    np.testing.assert_array_equal(RUN[name](empty), empty)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_mix_and_detail_are_those_of_the_smoother(photo, kind):
    given = photo.astype(kind) * (257 if kind == "uint16" else 1)
    smooth = filters.l0(given).astype(float)
    np.testing.assert_array_equal(filters.l0(given, mix=0), given)
    np.testing.assert_array_equal(filters.l0(given, detail=0), given)
    np.testing.assert_allclose(filters.l0(given, mix=0.5), (given + smooth) / 2, atol=1.01)
    most = np.iinfo(kind).max
    np.testing.assert_allclose(
        filters.l0(given, detail=1), np.clip(2 * given.astype(float) - smooth, 0, most), atol=1.01
    )


@pytest.mark.parametrize(("run", "error", "says"), [
    (lambda photo: filters.l0(photo, strength=0), UsageError, "expected strength above 0"),
    (lambda photo: filters.l0(photo, strength="auto"), UsageError, "expected a number from 0 for strength"),
    (lambda photo: filters.wmf(photo, radius=0), UsageError, "expected a radius of 1 to 500"),
    (lambda photo: filters.sd(photo, steps=0), UsageError, "expected at least 1 step"),
    (lambda photo: filters.l0(photo, mix=2), UsageError, "expected a mix from 0 to 1"),
    (lambda photo: filters.l0(photo, mix=0.5, detail=1), UsageError, "no mix beside it"),
    (lambda photo: filters.l0(photo[:1]), ImageError, "at least 2 pixels a side"),
    (lambda photo: filters.l0(photo / 1.0), ImageError, "in \\[0, 1\\]"),
    (lambda photo: filters.l0(3), ImageError, "expected a PIL image"),
])  # fmt: skip
def test_what_cannot_be_is_one_line(photo, run, error, says):
    with pytest.raises(error, match=says):
        run(photo)


def test_l0_needs_numpy_and_pillow_alone(photo, tmp_path):
    np.save(tmp_path / "in.npy", photo)
    script = """
import sys
for name in ("torch", "numba", "skimage", "scipy", "cv2", "onnxruntime"):
    sys.modules[name] = None
import numpy as np
from pnen_runtime import filters
np.save("out.npy", filters.l0(np.load("in.npy"), strength=0.02))
"""
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", script], env=environment, cwd=tmp_path, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), filters.l0(photo))


@pytest.mark.parametrize(("missing", "names"), [("numba", ["wmf", "sd"]), ("skimage.color", ["sd"])])
def test_a_missing_extra_is_named(photo, monkeypatch, missing, names):
    monkeypatch.delitem(sys.modules, "pnen_runtime.filters.compiled", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    for name in names:
        with pytest.raises(BackendMissing, match='extra "filters".*pip install numba scikit-image') as caught:
            RUN[name](photo)
        assert caught.value.exit_code == 4
    for name in FILTERS.keys() - set(names):
        assert RUN[name](photo).shape == photo.shape
