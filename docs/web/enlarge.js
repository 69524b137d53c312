// Bicubic enlarging as MATLAB does it, row by row, and luma and chroma: pnen_runtime/bicubic.py and ycbcr.py.

const OFFSET = [16 / 255, 128 / 255, 128 / 255];
const FROM_RGB = [
  [65.481, 128.553, 24.966],
  [-37.797, -74.203, 112.0],
  [112.0, -93.786, -18.214],
].map((row) => row.map((value) => value / 255));
const TO_RGB = inverse(FROM_RGB);

const times = (matrix, a, b, c) => matrix.map((row) => row[0] * a + row[1] * b + row[2] * c);

export function toYcbcr(r, g, b) {
  const [y, cb, cr] = times(FROM_RGB, r, g, b);
  return [y + OFFSET[0], cb + OFFSET[1], cr + OFFSET[2]];
}

export const toRgb = (y, cb, cr) => times(TO_RGB, y - OFFSET[0], cb - OFFSET[1], cr - OFFSET[2]);

// Which of `length` samples make each of `scale` times as many, and their weights: six of each for every one.
export function taps(length, scale) {
  const [all, weights] = [new Int32Array(length * scale * 6), new Float64Array(length * scale * 6)];
  for (let n = 0; n < length * scale; n++) {
    const centre = (n + 0.5) / scale - 0.5;
    const first = Math.floor(centre - 2);
    let sum = 0;
    for (let tap = 0; tap < 6; tap++) sum += weights[n * 6 + tap] = keys(first + tap - centre);
    for (let tap = 0; tap < 6; tap++) {
      weights[n * 6 + tap] /= sum;
      const place = (((first + tap) % (2 * length)) + 2 * length) % (2 * length); // the mirrored picture repeats
      all[n * 6 + tap] = place < length ? place : 2 * length - 1 - place;
    }
  }
  return [all, weights];
}

function keys(x) {
  x = Math.abs(x);
  if (x <= 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

// A plane (height, width) → a function of y that gives row y of the enlarged one; its result is written over.
export function enlargedRows(plane, height, width, scale) {
  const [[tall, heights], [broad, widths]] = [taps(height, scale), taps(width, scale)];
  const [line, row] = [new Float64Array(width), new Float64Array(width * scale)];
  return (y) => {
    line.fill(0);
    for (let tap = 6 * y; tap < 6 * y + 6; tap++) {
      if (heights[tap] === 0) continue;
      const from = tall[tap] * width;
      for (let x = 0; x < width; x++) line[x] += plane[from + x] * heights[tap];
    }
    for (let x = 0; x < row.length; x++) {
      let sum = 0;
      for (let tap = 6 * x; tap < 6 * x + 6; tap++) sum += line[broad[tap]] * widths[tap];
      row[x] = sum;
    }
    return row;
  };
}

function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const of = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  return [
    [(e * i - f * h) / of, (c * h - b * i) / of, (b * f - c * e) / of],
    [(f * g - d * i) / of, (a * i - c * g) / of, (c * d - a * f) / of],
    [(d * h - e * g) / of, (b * g - a * h) / of, (a * e - b * d) / of],
  ];
}
