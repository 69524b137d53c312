"""The page's modules in Node give what the Python runtime gives: tiles, alpha, noise, enlarging, cards, PNG."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from pnen_runtime.alpha import without_hidden
from pnen_runtime.bicubic import enlarge
from pnen_runtime.models import BUNDLED, bundled_models
from pnen_runtime.noise import estimate_sigma
from pnen_runtime.onnx_card import read_onnx_card
from pnen_runtime.plan import plan_tiles
from pnen_runtime.tiles import on_grid, smooth_tiled, starts, tile_weights
from pnen_runtime.ycbcr import to_rgb, to_ycbcr

AXES = [(length, tile, step, grid) for length in (16, 96, 97, 200, 1000, 1531)
        for tile, step in ((768, 576), (96, 40), (33, 33), (64, 63)) for grid in (1, 2, 3)]  # fmt: skip


def test_the_page_offers_every_bundled_model(node):
    script = "import {MODELS} from './models.js'; console.log(JSON.stringify(Object.keys(MODELS)))"
    assert sorted(node(script)) == bundled_models()


def test_tiles_lie_where_pythons_lie(node):
    script = """import {onGrid, starts} from './tiles.js';
        console.log(JSON.stringify(given.map(([length, tile, step, grid]) => {
            const [side, down] = onGrid(length, tile, step, grid);
            return [side, down, starts(length, side, down)]; })))"""
    wanted = [[side, down, starts(axis[0], side, down)] for axis in AXES for side, down in [on_grid(*axis)]]
    assert node(script, AXES) == wanted


@pytest.mark.parametrize("blend", ["feather", "inner"])
def test_tiles_weigh_what_pythons_weigh(node, blend):
    axes = [(starts(length, *on_grid(length, tile, step, grid)), *on_grid(length, tile, step, grid), length)
            for length, tile, step, grid in AXES]  # fmt: skip
    script = """import {tileWeights} from './tiles.js'; console.log(JSON.stringify(given.axes.map(
        ([begins, side, step, length]) => tileWeights(begins, side, length, step, given.blend).map((w) => [...w]))))"""
    found = node(script, {"axes": axes, "blend": blend})
    for (begins, side, step, length), weights in zip(axes, found, strict=True):
        np.testing.assert_allclose(weights, tile_weights(begins, side, length, step, blend), atol=1e-6)


@pytest.mark.parametrize("blend", ["feather", "inner"])
@pytest.mark.parametrize("border", ["", "wrap", "reflect"])
@pytest.mark.parametrize(("height", "width"), [(70, 131), (40, 48), (129, 64), (17, 30)])
def test_tiles_are_joined_as_pythons_are(node, blend, border, height, width):
    def network(batch):  # which gives every place of a tile another value, some beyond [0, 1]
        return batch * 1.2 - 0.1 + np.linspace(0, 0.3, batch.shape[3], dtype=np.float32)

    picture = np.random.default_rng(0).random((height, width, 3), np.float32)
    script = """import {beyond, smoothTiled} from './tiles.js';
        const {height, width, planes, blend, border} = given, result = planes.map((plane) => plane.slice()), told = [];
        const image = {width, height, channels: 3,
            planes: (left, top, wide, high) => Float32Array.from({length: 3 * high * wide}, (_, i) => {
                const [c, y, x] = [Math.floor(i / high / wide), Math.floor(i / wide) % high, i % wide];
                return planes[c][beyond(top + y, height, border) * width + beyond(left + x, width, border)]; }),
            put: (top, band, rows) => { const plane = band.length / 3; for (let c = 0; c < 3; c++)
                for (let i = 0; i < rows * width; i++) result[c][top * width + i] = band[c * plane + i]; }};
        const run = async (values, wide) => values.map((v, i) => 1.2 * v - 0.1 + 0.3 * (i % wide) / (wide - 1));
        const progress = (...of) => told.push(of);
        await smoothTiled(run, image, {tile: 48, step: 31, blend, grid: 2, border, progress});
        console.log(JSON.stringify([result, told]))"""
    planes = picture.transpose(2, 0, 1).reshape(3, -1).tolist()
    found, told = node(script, {"height": height, "width": width, "planes": planes, "blend": blend, "border": border})
    wanted = smooth_tiled(network, picture, 48, 31, blend, grid=2, border=border)
    np.testing.assert_allclose(np.reshape(found, (3, height, width)).transpose(1, 2, 0), wanted, atol=2e-6)
    assert told == [[done, len(told) - 1] for done in range(len(told))]


def test_values_that_are_not_numbers_are_an_error(node):
    script = """import {smoothTiled} from './tiles.js';
        const image = {width: 4, height: 4, channels: 1, planes: () => new Float32Array(16), put: () => {}};
        const run = async () => new Float32Array(16).fill(NaN);
        const told = await smoothTiled(run, image, {tile: 8, step: 4, blend: "inner"}).catch((error) => error.message);
        console.log(JSON.stringify(told))"""
    assert "not numbers" in node(script)


@pytest.mark.parametrize(("room", "wanted"), [(768, [768]), (200, [768, 384, 192]), (50, [768, 384, 192, 96])])
def test_tiles_become_smaller_for_lack_of_memory(node, room, wanted):
    script = """import {smoothInMemory} from './tiles.js'; const tried = []; let put = 0;
        const image = {width: 900, height: 800, channels: 1, put: (top, band, rows) => { put += rows; },
            planes: (left, top, wide, high) => new Float32Array(wide * high)};
        const run = async (values, wide) => { if (tried.at(-1) !== wide) tried.push(wide);
            if (wide > given.room) throw new Error("std::bad_alloc"); return values; };
        const told = await smoothInMemory(run, image, given, () => {}).catch((error) => error.message);
        console.log(JSON.stringify([tried, put, told]))"""
    card = {"tile": 768, "tile_step": 576, "config": {"grid": 2}, "room": room}
    tried, put, told = node(script, card)
    assert tried == wanted
    if room == 50:
        assert "bad_alloc" in told
    else:
        assert put == 800 and told["tiles"] > 1
        assert [str(wanted[-1]) in note for note in told["notes"]] == [True] * (len(wanted) > 1)


@pytest.mark.parametrize("model", bundled_models())
def test_smaller_tiles_keep_pythons_step(node, model):
    card = read_onnx_card(BUNDLED / f"{model}.onnx")
    tiles = [768, 384, 192, 96, 64]
    script = (
        "import {stepFor} from './tiles.js'; console.log(JSON.stringify(given.tiles.map((t) => stepFor(given, t))))"
    )
    found = node(script, {"tile": card.tile, "tile_step": card.tile_step, "tiles": tiles})
    assert found == [plan_tiles(card, 2000, 2000, 10**9, tile).step for tile in tiles]


@pytest.mark.parametrize("kind", ["Uint8ClampedArray", "Float64Array"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97, 1.0])
def test_hidden_colours_are_filled_as_python_fills_them(node, kind, share):
    chance = np.random.default_rng(1)
    values = chance.integers(0, 256, (37, 50, 4)).astype(np.uint8 if kind[0] == "U" else np.float64)
    shown = chance.random((37, 50)) < share
    script = f"""import {{withoutHidden}} from './alpha.js';
        console.log(JSON.stringify([...withoutHidden({kind}.from(given[0]), Uint8Array.from(given[1]), 37, 50, 4)]))"""
    found = np.reshape(node(script, [values.ravel().tolist(), shown.ravel().astype(int).tolist()]), values.shape)
    np.testing.assert_allclose(found, without_hidden(values, shown), atol=0 if kind[0] == "U" else 1e-9)


def noisy(picture, sigma):
    chance = np.random.default_rng(2)
    return np.clip(np.rint(picture + chance.normal(0, sigma, picture.shape)), 0, 255).astype(np.uint8)


PICTURES = {
    "photograph": data.chelsea()[:, :300],
    "little noise": noisy(data.chelsea(), 5),
    "much noise, clipped": noisy(data.astronaut(), 40),
    "grey": noisy(data.camera()[:300, :, None], 15),
    "small": noisy(data.coffee()[100:117, 100:135], 20),
    "with a frame": np.pad(noisy(data.chelsea(), 9), ((40, 40), (40, 40), (0, 0)), constant_values=128),
    "flat": np.full((60, 60, 3), 77, np.uint8),
}


@pytest.mark.parametrize("least", [0, 60, 90, 200])
def test_noise_of_what_is_shown_is_estimated_as_python_estimates_it(node, least):
    picture = PICTURES["little noise"]
    shown = np.zeros(picture.shape[:2], bool)
    shown[40:250, 33:] = picture[40:250, 33:, 0] > least
    script = """import {estimateSigma} from './noise.js'; const [values, sizes, shown] = given;
        console.log(estimateSigma(Uint8Array.from(values), ...sizes, Uint8Array.from(shown)))"""
    found = node(script, [picture.ravel().tolist(), picture.shape, shown.ravel().astype(int).tolist()])
    assert found == pytest.approx(estimate_sigma(picture, shown), abs=1e-4)


@pytest.mark.parametrize("name", PICTURES)
def test_noise_is_estimated_as_python_estimates_it(node, name):
    picture = PICTURES[name]
    script = """import {estimateSigma} from './noise.js';
        console.log(estimateSigma(Uint8Array.from(given[0]), given[1], given[2], given[3]))"""
    assert node(script, [picture.ravel().tolist(), *picture.shape]) == pytest.approx(estimate_sigma(picture), abs=1e-4)


@pytest.mark.parametrize("scale", [2, 3])
def test_enlarging_is_pythons(node, scale):
    plane = data.camera()[100:123, 60:91] / 255
    script = """import {enlargedRows} from './enlarge.js';
        const [plane, height, width, scale] = given, rowOf = enlargedRows(plane, height, width, scale);
        console.log(JSON.stringify(Array.from({length: height * scale}, (_, y) => [...rowOf(y)])))"""
    found = node(script, [plane.ravel().tolist(), *plane.shape, scale])
    np.testing.assert_allclose(found, enlarge(plane[..., None], scale)[..., 0], atol=1e-12)


def test_luma_and_chroma_are_pythons(node):
    colours = np.random.default_rng(3).random((50, 3))
    script = """import {toRgb, toYcbcr} from './enlarge.js';
        console.log(JSON.stringify([given.map((c) => toYcbcr(...c)), given.map((c) => toRgb(...c))]))"""
    there, back = node(script, colours.tolist())
    np.testing.assert_allclose(there, to_ycbcr(colours), atol=1e-12)
    np.testing.assert_allclose(back, to_rgb(colours), atol=1e-12)


@pytest.mark.parametrize("model", bundled_models())
def test_cards_are_read_and_torn_files_refused(node, model):
    whole = (BUNDLED / f"{model}.onnx").read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    files = [whole, whole[:-5], whole[: len(whole) // 2], bytes(changed), b"<html>not here</html>", b""]
    script = """import {readCard} from './card.js'; const told = [];
        for (const text of given) told.push(await readCard(new Uint8Array(Buffer.from(text, 'base64')), 'x.onnx')
            .then((card) => card, (error) => error.message));
        console.log(JSON.stringify(told))"""
    card, *errors = node(script, [base64.b64encode(file).decode() for file in files])
    wanted = read_onnx_card(BUNDLED / f"{model}.onnx")
    assert [card[name] for name in ("task", "strength", "tile", "tile_step", "channels")] == [
        wanted.task, wanted.strength, wanted.tile, wanted.tile_step, wanted.channels]  # fmt: skip
    for error in errors:
        assert isinstance(error, str) and error.startswith("x.onnx") and "\n" not in error


@pytest.mark.parametrize(
    "model", [name for name in bundled_models() if read_onnx_card(BUNDLED / f"{name}.onnx").strength]
)
def test_the_slider_reaches_the_cards_strengths(node, model):
    strength = read_onnx_card(BUNDLED / f"{model}.onnx").strength
    script = """import {placeOf, STEPS, strengthAt} from './card.js';
        const places = [0, placeOf(given, given.default), STEPS];
        console.log(JSON.stringify([places.map((place) => strengthAt(given, place)), strengthAt(given, STEPS / 2)]))"""
    found, middle = node(script, strength)
    assert found == [strength["least"], strength["default"], strength["most"]]
    ends = [strength["least"], strength["most"]]
    assert middle == pytest.approx(np.sqrt(np.prod(ends)) if strength["scale"] == "log" else np.mean(ends))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pngs_hold_every_value(node, mode):
    pixels = np.random.default_rng(4).integers(0, 256, (61, 53, 4), np.uint8)
    pixels[:50, :, :3] = data.chelsea()[100:150, 100:153]  # for which every filter is the best somewhere
    if mode[0] == "L":
        pixels[..., 1] = pixels[..., 2] = pixels[..., 0]
    pixels[..., 3] = pixels[..., 3] if mode[-1] == "A" else 255
    script = """import {encodePng} from './png.js';
        const file = await encodePng(Uint8ClampedArray.from(given[0]), 53, 61, given[1]);
        console.log(JSON.stringify(Buffer.from(await file.arrayBuffer()).toString('base64')))"""
    image = Image.open(io.BytesIO(base64.b64decode(node(script, [pixels.ravel().tolist(), mode[0] == "L"]))))
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image.convert("RGBA")), pixels)
