// σ of the Gaussian noise of a picture, from the picture alone: pnen_runtime/noise.py says how and why.

import { withoutHidden } from "./alpha.js";

const DETAIL = [-0.12940952255126, -0.22414386804201, 0.83651630373781, -0.48296291314469]; // Daubechies' db2
const HALF_OF_NORMAL = 0.67448975;
const [BLOCK, MOST, QUIET, CLIPPED, FEWEST] = [34, 32, 0.4, 0.05, 16];

// Of (height, width, channels) values of 8 bits, in levels; of the pixels that are shown (height, width) alone; where
// nowhere enough of them lie side by side, with what alpha.js puts in place of the others.
export function estimateSigma(values, height, width, channels, shown = null) {
  let found = [];
  const all = shown ?? new Uint8Array(height * width).fill(1);
  const [[upper, lower], [first, end]] = box(all, height, width);
  for (const top of places(lower - upper).map((place) => place + upper)) {
    for (const left of places(end - first).map((place) => place + first)) {
      const [high, wide] = [Math.min(BLOCK, lower - top), Math.min(BLOCK, end - left)];
      const here = Uint8Array.from({ length: high * wide }, (_, i) => {
        return all[(top + Math.floor(i / wide)) * width + left + (i % wide)];
      });
      const [counts, whole] = [here.reduce((sum, one) => sum + one, 0), allShown(here, high, wide)];
      if (shown && whole.reduce((sum, one) => sum + one, 0) < FEWEST) continue;
      let [sigma, cut] = [0, 0];
      for (let c = 0; c < channels; c++) {
        const block = new Float64Array(high * wide);
        for (let y = 0, i = 0; y < high; y++)
          for (let x = 0; x < wide; x++, i++) {
            block[i] = values[((top + y) * width + left + x) * channels + c];
            cut += here[i] && (block[i] <= 0 || block[i] >= 255);
          }
        const sizes = details(block, high, wide).map(Math.abs);
        sigma += quantile(sizes.filter((_, i) => whole[i]), 0.5) / channels / HALF_OF_NORMAL;
      }
      found.push([sigma, cut / (counts * channels)]);
    }
  }
  if (!found.length) return estimateSigma(withoutHidden(values, all, height, width, channels), height, width, channels);
  const noisy = found.filter(([sigma]) => sigma >= 1e-3);
  const drawn = found.length - noisy.length; // a caption's strip or a frame, which the noise does not reach
  if (drawn > 0 && drawn < found.length / 2) found = noisy;
  const limit = Math.max(
    CLIPPED,
    quantile(
      found.map(([, cut]) => cut),
      0.1,
    ),
  );
  return quantile(
    found.filter(([, cut]) => cut <= limit).map(([sigma]) => sigma),
    QUIET,
  );
}

// Rows and columns around all that is shown: the first, and the one behind the last.
function box(shown, height, width) {
  let [top, bottom, left, right] = [height, 0, width, 0];
  shown.forEach((one, i) => {
    if (!one) return;
    const [y, x] = [Math.floor(i / width), i % width];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
    [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
  });
  return bottom ? [[top, bottom], [left, right]] : [[0, height], [0, width]];
}

// Which details of a block are of shown pixels alone.
function allShown(here, high, wide) {
  const [down, across] = [(high - 2) >> 1, (wide - 2) >> 1];
  const taps = [0, 1, 2, 3];
  return Uint8Array.from({ length: Math.max(0, down * across) }, (_, i) => {
    const [y, x] = [2 * Math.floor(i / across), 2 * (i % across)];
    return taps.every((row) => taps.every((column) => here[(y + row) * wide + x + column]));
  });
}

export function places(side) {
  const [last, count] = [Math.max(0, side - BLOCK), Math.min(MOST, Math.max(1, Math.floor(side / BLOCK)))];
  const all = Array.from({ length: count }, (_, n) => halfToEven(count > 1 ? (n * last) / (count - 1) : 0));
  return [...new Set(all)];
}

function halfToEven(value) {
  const down = Math.floor(value);
  return value - down === 0.5 ? down + (down % 2) : Math.round(value);
}

// Every second diagonal detail: along the columns, then along the rows, of pixels that are all inside.
function details(block, high, wide) {
  const [down, across] = [(high - 2) >> 1, (wide - 2) >> 1];
  const half = new Float64Array(down * wide);
  for (let y = 0; y < down; y++)
    for (let x = 0; x < wide; x++)
      half[y * wide + x] = DETAIL.reduce((sum, weight, tap) => sum + weight * block[(2 * y + tap) * wide + x], 0);
  const result = new Float64Array(down * across);
  for (let y = 0; y < down; y++)
    for (let x = 0; x < across; x++)
      result[y * across + x] = DETAIL.reduce((sum, weight, tap) => sum + weight * half[y * wide + 2 * x + tap], 0);
  return result;
}

// As numpy's: between the two values around the place.
function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  return sorted[low] + (place - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}
