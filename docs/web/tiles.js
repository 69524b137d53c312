// Smoothing in overlapping tiles, with memory for one band of rows: pnen_runtime/tiles.py, value for value.

const JOINT = 16; // pixels over which inner parts of tiles are joined
const LEAST_TILE = 64; // pixels a side, that a tile becomes for lack of memory
const LACK = /bad_alloc|allocat|out of memory/i; // what libraries say then
const OVERLAP = 64; // pixels, where the card recommends no tile

const blendFor = (config) => (config.scales?.length ? "feather" : "inner");

// Tile and step along an axis, as asked or less by under `grid`, so that tiles begin on the network's grid.
export function onGrid(length, tile, step, grid = 1) {
  let side = Math.min(length, tile);
  side -= (((side - length) % grid) + grid) % grid;
  step = Math.min(step, side);
  return [side, step > grid ? step - (step % grid) : step];
}

// Where the tiles of one axis begin: 0, step, 2·step, ... and one flush with the far edge.
export function starts(length, tile, step) {
  if (length <= tile) return [0];
  const begins = [];
  for (let begin = 0; begin + tile <= length; begin += step) begins.push(begin);
  if (begins.at(-1) + tile !== length) begins.push(length - tile);
  return begins;
}

// For each tile of one axis the weight of its pixels; over all tiles they add up to 1 at every pixel.
export function tileWeights(begins, size, length, step, blend) {
  let [ramp, dropped] = [Math.max(1, Math.min(size - step, size >> 1)), 0];
  if (blend === "inner" && ramp > JOINT) {
    dropped = Math.min((size - step - JOINT) >> 1, (size >> 1) - JOINT);
    ramp = JOINT;
  }
  const rise = new Float64Array(dropped + ramp);
  for (let i = 0; i < ramp; i++) rise[dropped + i] = Math.sin(((Math.PI / 2) * (i + 0.5)) / ramp) ** 2;
  const total = new Float64Array(length);
  const windows = begins.map((begin) => {
    const window = new Float64Array(size).fill(1);
    if (begin > 0) window.set(rise);
    if (begin + size < length)
      rise.forEach((value, i) => (window[size - 1 - i] = Math.min(window[size - 1 - i], value)));
    window.forEach((value, i) => (total[begin + i] += value));
    return window;
  });
  return windows.map((window, n) => Float32Array.from(window, (value, i) => value / total[begins[n] + i]));
}

// The card's step for the card's tile; for another one, the step that keeps the overlap.
export function stepFor(card, tile) {
  if (tile === card.tile) return Math.min(card.tile_step, tile);
  const overlap = card.tile === "whole" ? OVERLAP : Math.max(0, card.tile - card.tile_step);
  return Math.max(1, tile - Math.min(overlap, tile >> 1));
}

const MARGIN = 8; // pixels of what lies beyond a picture's border: pnen_runtime/border.py

// Pixels by which an axis is continued on either side; a picture that fits into one tile stays one.
export function margin(length, tile, border, grid = 1) {
  const room = length <= tile ? (tile - length) >> 1 : MARGIN;
  const most = border ? Math.min(MARGIN, room, length - 1) : 0;
  return most - (most % grid);
}

// The row or column that stands at a place beyond the picture: on its other side, or turned back.
export function beyond(place, length, border) {
  if (place >= 0 && place < length) return place;
  if (border === "wrap") return (place + length) % length;
  return place < 0 ? -place : 2 * (length - 1) - place;
}

// Smooth an image tile by tile.
//   run(planes, wide, high) → promise of as many values; both (C, high, wide) float32, what goes in within [0, 1]
//   image: {width, height, channels, planes(left, top, wide, high), put(top, band, rows)}; planes are asked for beyond
//     the image too, where `border` says what is there; a band is (C, at least `rows`, width), finished when it is put
//   progress(done, total) at the start and after each tile
export async function smoothTiled(run, image, { tile, step, blend, grid = 1, border = "", progress }) {
  const { width, height, channels } = image;
  const side = tile === "whole" ? Math.max(height, width) + 2 * MARGIN : tile;
  const [above, beside] = [margin(height, side, border, grid), margin(width, side, border, grid)];
  const [tall, broad] = [height + 2 * above, width + 2 * beside];
  const [high, down] = onGrid(tall, side, step, grid);
  const [wide, across] = onGrid(broad, side, step, grid);
  const [rows, columns] = [starts(tall, high, down), starts(broad, wide, across)];
  const rowWeights = tileWeights(rows, high, tall, down, blend);
  const columnWeights = tileWeights(columns, wide, broad, across, blend);
  const band = new Float32Array(channels * high * broad); // the rows still open, from the current tile's top
  const total = rows.length * columns.length;
  const inner = (values, from, count) => {
    const part = new Float32Array(channels * count * width);
    for (let line = 0; line < channels * count; line++) {
      const begin = (Math.floor(line / count) * high + from + (line % count)) * broad + beside;
      part.set(values.subarray(begin, begin + width), line * width);
    }
    return part;
  };
  let done = 0;
  progress?.(done, total);
  for (const [row, top] of rows.entries()) {
    for (const [column, left] of columns.entries()) {
      const smooth = await run(image.planes(left - beside, top - above, wide, high), wide, high);
      if (smooth.length !== channels * high * wide) throw new Error("the network gave a tile of another size");
      for (let line = 0; line < channels * high; line++) {
        const [from, to, weight] = [line * wide, line * broad + left, rowWeights[row][line % high]];
        for (let x = 0; x < wide; x++) {
          const pixel = smooth[from + x];
          if (!Number.isFinite(pixel)) throw new Error("the network gave values that are not numbers");
          band[to + x] += Math.min(1, Math.max(0, pixel)) * Math.fround(weight * columnWeights[column][x]);
        }
      }
      progress?.(++done, total);
    }
    const closed = (rows[row + 1] ?? tall) - top;
    const [first, last] = [Math.max(top, above), Math.min(top + closed, above + height)];
    if (last > first) image.put(first - above, inner(band, first - top, last - first), last - first);
    for (let channel = 0; channel < channels; channel++) {
      const [begin, end] = [channel * high * broad, (channel + 1) * high * broad];
      band.copyWithin(begin, begin + closed * broad, end);
      band.fill(0, end - closed * broad, end);
    }
  }
}

// In tiles of the card's size, or for lack of memory in smaller ones → {tiles, notes}
export async function smoothInMemory(run, image, card, progress) {
  const [blend, grid] = [blendFor(card.config), card.config.grid ?? 1];
  const longest = Math.max(image.width, image.height);
  let [tile, notes, tiles] = [card.tile === "whole" ? longest + 2 * MARGIN : card.tile, [], 0];
  const count = (done, total) => progress(done, (tiles = total));
  while (true) {
    try {
      await smoothTiled(run, image, { tile, step: stepFor(card, tile), blend, grid, border: card.border, progress: count });
      return { tiles, notes };
    } catch (error) {
      const smaller = Math.min(tile, longest) >> 1;
      if (!LACK.test(error?.message ?? error) || smaller < LEAST_TILE) throw error;
      notes = [
        `Tiles of ${tile} pixels were too much for this memory: ${smaller} were taken, whose result may differ.`,
      ];
      tile = smaller;
    }
  }
}
