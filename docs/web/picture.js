// A picture file as upright sRGB of 8 bits, with colours as they are under half-transparent and hidden pixels.

const MOST_PIXELS = 50e6; // of a picture and of a result: about 1 GB in this page
export const NOT_ONE = "expected a picture (PNG, JPEG, WebP, AVIF, GIF or BMP), got something else or a damaged file";

export function checkSize(width, height, scale, least) {
  const factor = scale > 1 ? `, ${scale * width}x${scale * height} when enlarged` : "";
  if (width * height * scale * scale > MOST_PIXELS)
    throw new Error(
      `expected at most ${MOST_PIXELS / 1e6} million pixels, got ${width}x${height}${factor}; make it smaller first`,
    );
  if (Math.min(width, height) * scale < least)
    throw new Error(
      `expected at least ${Math.ceil(least / scale)} pixels a side, got ${width}x${height}; enlarge it first`,
    );
}

// → {width, height, rgba, grey, notes}; an error of one line where it is none, torn or too large.
export async function decode(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (cutOff(bytes)) throw new Error("the picture is damaged or cut off: its end is missing; get the whole file");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { premultiplyAlpha: "none" });
  } catch {
    throw new Error(NOT_ONE);
  }
  const { width, height } = bitmap;
  checkSize(width, height, 1, 1);
  checkCanvas();
  let rgba = drawn(width, height, (context) => context.drawImage(bitmap, 0, 0));
  const notes = [];
  if (rgba.some((value, i) => (i & 3) === 3 && value < 255)) {
    const exact = unrounded(bitmap, width, height);
    if (exact && agree(exact, rgba)) rgba = exact;
    else notes.push("Colours under half-transparent pixels are rounded: this browser gives them no other way.");
  }
  bitmap.close();
  const bits = depth(bytes);
  if (bits > 8) notes.push(`${bits} bits a channel are read as 8; pnen-smooth keeps them.`);
  if (animated(bytes)) notes.push("Of an animation only the first frame is taken; pnen-smooth takes all.");
  return { width, height, rgba, grey: isGrey(rgba), notes };
}

function drawn(width, height, draw) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context)
    throw new Error(`this browser has no memory for a picture of ${width}x${height}; make it smaller first`);
  draw(context);
  return context.getImageData(0, 0, width, height).data;
}

// Some browsers change what pages read of a canvas, against fingerprinting: the result would be wrong.
function checkCanvas() {
  const pattern = new ImageData(32, 32);
  for (let i = 0; i < pattern.data.length; i++) pattern.data[i] = (i & 3) === 3 ? 255 : (i * 73) & 255;
  const read = drawn(32, 32, (context) => context.putImageData(pattern, 0, 0));
  if (read.some((value, i) => value !== pattern.data[i]))
    throw new Error(
      "this browser changes pixels that pages read (fingerprinting protection); allow this page to read canvases",
    );
}

// By WebGL, which alone gives colours that were not multiplied by alpha; null where it is missing or too small.
function unrounded(bitmap, width, height) {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(
    gl.FRAMEBUFFER,
    gl.COLOR_ATTACHMENT0,
    gl.TEXTURE_2D,
    gl.getParameter(gl.TEXTURE_BINDING_2D),
    0,
  );
  const rgba = new Uint8ClampedArray(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(rgba.buffer));
  const failed = gl.getError();
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return failed ? null : rgba;
}

// Whether both are the same picture, as far as the second was rounded.
function agree(exact, rounded) {
  for (let i = 0; i < exact.length; i += 4) {
    const alpha = rounded[i + 3];
    if (exact[i + 3] !== alpha) return false;
    for (let c = i; c < i + 3; c++) if (Math.abs(exact[c] - rounded[c]) * alpha > 2 * 255) return false;
  }
  return true;
}

function isGrey(rgba) {
  for (let i = 0; i < rgba.length; i += 4)
    if (rgba[i + 3] && (rgba[i] !== rgba[i + 1] || rgba[i] !== rgba[i + 2])) return false;
  return true;
}

const text = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, to));
const isPng = (bytes) => text(bytes, 1, 4) === "PNG";
const isWebp = (bytes) => text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 12) === "WEBP";

function* chunks(bytes) {
  const view = new DataView(bytes.buffer);
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    if (at + 12 + view.getUint32(at) <= bytes.length) yield text(bytes, at + 4, at + 8);
  }
}

// Browsers show what there is of a torn file; a result of half a picture would look like a whole one.
function cutOff(bytes) {
  if (isPng(bytes)) return ![...chunks(bytes)].includes("IEND");
  if (isWebp(bytes)) return new DataView(bytes.buffer).getUint32(4, true) + 8 > bytes.length;
  if (text(bytes, 0, 3) === "GIF") return bytes.at(-1) !== 0x3b;
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return false;
  let at = 2; // of a JPEG's segments; its end mark comes after the scan begins, and within it nowhere else
  while (at + 4 <= bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda)
    at += 2 + bytes[at + 2] * 256 + bytes[at + 3];
  for (; at + 1 < bytes.length; at++) if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return false;
  return true;
}

const depth = (bytes) => (isPng(bytes) ? bytes[24] : 8);

function animated(bytes) {
  if (isPng(bytes)) return [...chunks(bytes)].includes("acTL");
  if (isWebp(bytes)) return text(bytes, 12, 16) === "VP8X" && (bytes[20] & 2) > 0;
  return text(bytes, 0, 3) === "GIF"; // of one frame or several
}
