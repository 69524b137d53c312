// PNG files without a canvas, which would round colours under half-transparent pixels.

const KINDS = { 1: 0, 2: 4, 3: 2, 4: 6 }; // channels → colour type

// RGBA of 8 bits → the bytes of a PNG, grey or in colour, with alpha where some pixel is not opaque.
export async function encodePng(rgba, width, height, grey) {
  const opaque = !rgba.some((value, i) => (i & 3) === 3 && value < 255);
  const places = [...(grey ? [0] : [0, 1, 2]), ...(opaque ? [] : [3])];
  const channels = places.length;
  const packer = new CompressionStream("deflate");
  const packed = new Response(packer.readable).arrayBuffer();
  const writer = packer.writable.getWriter();
  let above = new Uint8Array(width * channels);
  for (let y = 0; y < height; y++) {
    const row = new Uint8Array(width * channels);
    for (let x = 0, to = 0; x < width; x++) for (const place of places) row[to++] = rgba[4 * (y * width + x) + place];
    await writer.write(filtered(row, above, channels));
    above = row;
  }
  await writer.close();
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header.set([8, KINDS[channels], 0, 0, 0], 8);
  const start = [137, 80, 78, 71, 13, 10, 26, 10];
  const chunks = [
    ["IHDR", header],
    ["sRGB", new Uint8Array(1)],
    ["IDAT", new Uint8Array(await packed)],
    ["IEND", new Uint8Array(0)],
  ];
  return new Blob([new Uint8Array(start), ...chunks.flatMap(([name, data]) => chunk(name, data))], {
    type: "image/png",
  });
}

// A row behind the number of its filter: of left neighbour, upper one and Paeth's, the one with the smallest sum.
function filtered(row, above, channels) {
  let [best, least] = [null, Infinity];
  for (const filter of [1, 2, 4]) {
    const out = new Uint8Array(row.length + 1);
    out[0] = filter;
    let sum = 0;
    for (let i = 0; i < row.length; i++) {
      const [left, up, corner] = i < channels ? [0, above[i], 0] : [row[i - channels], above[i], above[i - channels]];
      out[i + 1] = row[i] - (filter === 1 ? left : filter === 2 ? up : paeth(left, up, corner));
      sum += out[i + 1] < 128 ? out[i + 1] : 256 - out[i + 1];
    }
    if (sum < least) [best, least] = [out, sum];
  }
  return best;
}

function paeth(left, up, corner) {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function chunk(name, data) {
  const named = new Uint8Array(8 + data.length);
  const end = new Uint8Array(4);
  new DataView(named.buffer).setUint32(0, data.length);
  named.set(new TextEncoder().encode(name), 4);
  named.set(data, 8);
  let sum = 0xffffffff;
  for (let i = 4; i < named.length; i++) sum = TABLE[(sum ^ named[i]) & 255] ^ (sum >>> 8);
  new DataView(end.buffer).setUint32(0, ~sum >>> 0);
  return [named, end];
}
