// The model card inside an ONNX file, and the scale of a strength: pnen_runtime/onnx_check.py and card.py.

const [METADATA, KEY, FORMAT] = [14, "pnen", 1];

// The card; an error of one line where the file is torn, changed since its export, or none of ours.
export async function readCard(bytes, name) {
  let card;
  const graph = [];
  try {
    for (const [number, value, raw] of fields(bytes)) {
      if (number !== METADATA) graph.push(raw);
      else {
        const text = Object.fromEntries(
          [...fields(value)].map(([inner, part]) => [inner, new TextDecoder().decode(part)]),
        );
        if (text[1] === KEY) card = JSON.parse(text[2]);
      }
    }
  } catch {
    throw new Error(`${name} is truncated or no ONNX file; load the page again, or build it again with make web`);
  }
  if (card?.format !== FORMAT) throw new Error(`${name} has no model card of format ${FORMAT}; build the page again`);
  const subtle = globalThis.crypto?.subtle; // missing where the page comes over plain http from another machine
  if (subtle && card.graph_sha256) {
    const digest = new Uint8Array(await subtle.digest("SHA-256", await new Blob(graph).arrayBuffer()));
    const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (hex !== card.graph_sha256)
      throw new Error(`${name} was damaged or changed since its export; build the page again`);
  }
  return card;
}

// Of a message of protobuf: number, value and the raw bytes of each field.
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      if (at >= bytes.length) throw new RangeError("torn");
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const begin = at;
    const key = varint();
    const kind = key & 7;
    if (kind !== 0 && kind !== 1 && kind !== 2 && kind !== 5) throw new RangeError("torn");
    const length = kind === 0 ? (varint(), 0) : kind === 2 ? varint() : kind === 1 ? 8 : 4;
    if (at + length > bytes.length) throw new RangeError("torn");
    at += length;
    yield [key >>> 3, bytes.subarray(at - length, at), bytes.subarray(begin, at)];
  }
}

export const STEPS = 200; // of a slider

// The strength at a place of the slider, on the scale of the card, as it is shown; and the place of a strength.
export function strengthAt({ least, most, scale }, place) {
  const share = place / STEPS;
  const value = scale === "log" ? least * (most / least) ** share : least + (most - least) * share;
  return Math.min(most, Math.max(least, Number(value.toPrecision(scale === "log" ? 2 : 3))));
}

export function placeOf({ least, most, scale }, strength) {
  const share =
    scale === "log" ? Math.log(strength / least) / Math.log(most / least) : (strength - least) / (most - least);
  return Math.round(share * STEPS);
}
