// Between a picture's 8 bits and the network's planes: what pnen_runtime/frame.py and upscaler.py do.
//
// A picture is {width, height, rgba, grey}. A job is the image that tiles are cut from and put into, the size of the
// result, and render(mix) → its RGBA, from mix 0, the picture itself or the bicubic one, to 1, the network's result.

import { withoutHidden } from "./alpha.js";
import { enlargedRows, toRgb, toYcbcr } from "./enlarge.js";
import { beyond } from "./tiles.js";

const FINE = 65535; // results are kept in 16 bits, so that a mix of them is rounded once
const LUMA = [0.299, 0.587, 0.114]; // ITU-R BT.601

export const enlarges = (card) => card.task.scale ?? 1;
export const jobFor = (card, picture) => (enlarges(card) > 1 ? enlarging(card, picture) : smoothing(card, picture));

export function seen({ rgba, width, height }) {
  const shown = new Uint8Array(width * height);
  for (let i = 0; i < shown.length; i++) shown[i] = rgba[4 * i + 3] > 0;
  return withoutHidden(rgba, shown, height, width, 4);
}

function smoothing(card, picture) {
  const { width, height, rgba, grey } = picture;
  const given = seen(picture);
  const channels = card.channels;
  if (channels < 3 && !grey) throw new Error("expected a grey picture for this network, got one in colour");
  const kept = grey ? 1 : 3;
  const smooth = new Uint16Array(width * height * kept);
  const image = {
    width,
    height,
    channels,
    planes(left, top, wide, high) {
      const planes = new Float32Array(channels * high * wide);
      for (let c = 0, to = 0; c < channels; c++)
        for (let y = 0; y < high; y++)
          for (let row = beyond(top + y, height, card.border) * width, x = 0; x < wide; x++)
            planes[to++] = given[4 * (row + beyond(left + x, width, card.border)) + c] / 255;
      return planes;
    },
    put(top, band, rows) {
      const plane = band.length / channels;
      for (let i = 0, to = top * width * kept; i < rows * width; i++) {
        if (kept === channels || channels === 1)
          for (let c = 0; c < kept; c++) smooth[to++] = fine(band[c * plane + i]);
        else smooth[to++] = fine(LUMA[0] * band[i] + LUMA[1] * band[plane + i] + LUMA[2] * band[2 * plane + i]);
      }
    },
  };
  const render = (mix) => {
    const out = rgba.slice(); // what is hidden comes back as it was
    for (let i = 0; i < rgba.length; i += 4) {
      if (rgba[i + 3] === 0) continue;
      for (let c = 0; c < 3; c++) {
        const [was, is] = [given[i + c] / 255, smooth[(i / 4) * kept + (grey ? 0 : c)] / FINE];
        out[i + c] = 255 * (was + mix * (is - was)); // clamped, and rounded half to even, by the array
      }
    }
    return out;
  };
  return { image, width, height, render };
}

function enlarging(card, picture) {
  const { grey, width: narrow, height: low } = picture;
  const scale = enlarges(card);
  const [width, height] = [narrow * scale, low * scale];
  const [luma, ...others] = smallPlanes(picture);
  const large = new Float32Array(width * height);
  const rowOf = enlargedRows(luma, low, narrow, scale);
  for (let y = 0; y < height; y++)
    large.set(
      rowOf(y).map((value) => Math.min(1, Math.max(0, value))),
      y * width,
    );
  const smooth = new Uint16Array(width * height);
  const image = {
    width,
    height,
    channels: 1,
    planes(left, top, wide, high) {
      const planes = new Float32Array(high * wide);
      for (let y = 0; y < high; y++) {
        const from = (top + y) * width + left;
        planes.set(large.subarray(from, from + wide), y * wide);
      }
      return planes;
    },
    put(top, band, rows) {
      for (let i = 0; i < rows * width; i++) smooth[top * width + i] = fine(band[i]);
    },
  };
  const render = (mix) => {
    const out = new Uint8ClampedArray(4 * width * height);
    const [alpha, cb, cr] = others.map((plane) => plane && enlargedRows(plane, low, narrow, scale));
    for (let y = 0, i = 0; y < height; y++) {
      const [alphas, cbs, crs] = [alpha?.(y), cb?.(y), cr?.(y)];
      for (let x = 0; x < width; x++, i++) {
        const value = large[i] + mix * (smooth[i] / FINE - large[i]);
        const colours = grey ? [value, value, value] : toRgb(value, cbs[x], crs[x]);
        for (let c = 0; c < 3; c++) out[4 * i + c] = 255 * colours[c];
        out[4 * i + 3] = alphas ? 255 * alphas[x] : 255;
      }
    }
    return out;
  };
  return { image, width, height, render };
}

// Luma, alpha where there is any, and of pictures in colour blue and red chroma, of the small picture.
function smallPlanes({ width, height, rgba, grey }) {
  const count = width * height;
  const values = new Float64Array(4 * count).map((_, i) => rgba[i] / 255);
  const shown = new Uint8Array(count).map((_, i) => rgba[4 * i + 3] > 0);
  const given = withoutHidden(values, shown, height, width, 4);
  const plane = () => new Float64Array(count);
  const [luma, alpha, cb, cr] = [plane(), plane(), grey ? null : plane(), grey ? null : plane()];
  for (let i = 0; i < count; i++) {
    const [r, g, b] = given.subarray(4 * i, 4 * i + 3);
    alpha[i] = values[4 * i + 3];
    if (grey) luma[i] = r;
    else [luma[i], cb[i], cr[i]] = toYcbcr(r, g, b);
  }
  return [luma, alpha.some((value) => value < 1) ? alpha : null, cb, cr];
}

const fine = (value) => Math.round(FINE * Math.min(1, Math.max(0, value)));
