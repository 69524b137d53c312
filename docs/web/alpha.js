// Colours under fully transparent pixels may reach nothing that is seen: pnen_runtime/alpha.py.

// Values (height, width, channels) with those of hidden pixels taken from shown ones nearby: means of 2×2, 4×4, ...
// pixels. Of the type that came in; a Uint8ClampedArray rounds as numpy does, half to even.
export function withoutHidden(values, shown, height, width, channels) {
  if (shown.every(Boolean) || !shown.some(Boolean)) return values;
  const [high, wide] = [(height + 1) >> 1, (width + 1) >> 1];
  const means = new Float64Array(high * wide * channels);
  const counts = new Uint8Array(high * wide);
  for (let y = 0, pixel = 0; y < height; y++) {
    for (let x = 0; x < width; x++, pixel++) {
      if (!shown[pixel]) continue;
      const place = (y >> 1) * wide + (x >> 1);
      counts[place]++;
      for (let c = 0; c < channels; c++) means[place * channels + c] += values[pixel * channels + c];
    }
  }
  for (let i = 0; i < means.length; i++) means[i] /= Math.max(1, counts[Math.floor(i / channels)]);
  const coarse = withoutHidden(means, counts, high, wide, channels);
  const filled = values.slice();
  for (let y = 0, pixel = 0; y < height; y++) {
    for (let x = 0; x < width; x++, pixel++) {
      if (shown[pixel]) continue;
      const place = (y >> 1) * wide + (x >> 1);
      for (let c = 0; c < channels; c++) filled[pixel * channels + c] = coarse[place * channels + c];
    }
  }
  return filled;
}
