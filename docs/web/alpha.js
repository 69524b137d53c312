// Colours under fully transparent pixels may reach nothing that is seen: pnen_runtime/alpha.py.

const FAR = 1 << 29; // more rows than a picture has

// Values (height, width, channels) with those of hidden pixels mirrored at the nearest shown one (by rows plus columns),
// or its own where the mirror image is hidden, too. Of the type that came in.
export function withoutHidden(values, shown, height, width, channels) {
  if (shown.every(Boolean) || !shown.some(Boolean)) return values;
  const [filled, nearest, columns] = [values.slice(), nearestInColumns(shown, height, width), new Int32Array(width)];
  for (let y = 0; y < height; y++) {
    nearestColumns(nearest.subarray(y * width, (y + 1) * width), y, columns);
    for (let x = 0; x < width; x++) {
      if (shown[y * width + x]) continue;
      const [row, column] = [nearest[y * width + columns[x]], columns[x]];
      const [down, across] = [2 * row - y, 2 * column - x];
      const inside = down >= 0 && down < height && across >= 0 && across < width;
      const from = inside && shown[down * width + across] ? down * width + across : row * width + column;
      for (let c = 0; c < channels; c++) filled[(y * width + x) * channels + c] = values[from * channels + c];
    }
  }
  return filled;
}

// Rows of the nearest shown pixel above or below each; FAR away where its column has none.
function nearestInColumns(shown, height, width) {
  const nearest = new Int32Array(height * width);
  for (let x = 0; x < width; x++) {
    for (let y = 0, above = -FAR; y < height; y++) {
      if (shown[y * width + x]) above = y;
      nearest[y * width + x] = above;
    }
    for (let y = height - 1, below = FAR; y >= 0; y--) {
      if (shown[y * width + x]) below = y;
      if (below - y < y - nearest[y * width + x]) nearest[y * width + x] = below;
    }
  }
  return nearest;
}

// Columns whose nearest row is the fewest steps away from each pixel of row y.
function nearestColumns(nearest, y, columns) {
  const left = new Float64Array(nearest.length);
  for (let x = 0, best = Infinity, column = 0; x < nearest.length; x++) {
    const away = Math.abs(y - nearest[x]) - x;
    if (away < best) [best, column] = [away, x];
    [left[x], columns[x]] = [best + x, column];
  }
  for (let x = nearest.length - 1, best = Infinity, column = 0; x >= 0; x--) {
    const away = Math.abs(y - nearest[x]) + x;
    if (away <= best) [best, column] = [away, x];
    if (best - x < left[x]) columns[x] = column;
  }
}
