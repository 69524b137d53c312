// ONNX Runtime Web: on WebGPU where the browser has it, proven on a small tile against WASM, and on WASM otherwise.

import { readCard } from "./card.js";

const LIBRARY = new URL("ort/", import.meta.url);
const PROOF = 64; // pixels a side of the tile that proves WebGPU
const CLOSE = 1 / 255;

// Where it will run, before anything large is loaded: {name: "webgpu" | "wasm", device, threads, isolated,
// fallback: why not on WebGPU, or ""}
export async function choose(wanted) {
  return { ...(await chosen(wanted)), threads: threads(), isolated: Boolean(globalThis.crossOriginIsolated) };
}

async function chosen(wanted) {
  if (wanted === "wasm") return { name: "wasm", fallback: "" };
  if (!navigator.gpu) return { name: "wasm", fallback: missing() };
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  if (!adapter) return { name: "wasm", fallback: "WebGPU is there, but finds no graphics card it may use" };
  const [info, software] = [
    adapter.info ?? {},
    adapter.info?.isFallbackAdapter || /swiftshader/i.test(adapter.info?.architecture),
  ];
  if (software && wanted !== "webgpu")
    return { name: "wasm", fallback: "WebGPU has no graphics card here, only a slow stand-in" };
  return {
    name: "webgpu",
    fallback: "",
    device: info.description || [info.vendor, info.architecture].filter(Boolean).join(" "),
  };
}

const missing = () =>
  globalThis.isSecureContext ? "this browser has no WebGPU" : "browsers give WebGPU to https and localhost only";

const threads = () => (globalThis.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency || 1) : 1);

let ort; // the library, of which a worker can load one build

async function load(name) {
  ort ??= (await import(new URL(name === "webgpu" ? "ort.webgpu.bundle.min.mjs" : "ort.wasm.bundle.min.mjs", LIBRARY)))
    .default;
  ort.env.wasm.wasmPaths = LIBRARY.href;
  ort.env.wasm.numThreads = threads();
  ort.env.logLevel = "error";
}

// A model, loaded: {card, place, run(planes, wide, high, strength) → planes, close()}
export async function open(model, wanted) {
  const place = await choose(wanted);
  const bytes = await download(new URL(`models/${model}.onnx`, import.meta.url), `${model}.onnx`);
  const card = await readCard(bytes, `${model}.onnx`);
  try {
    await load(place.name);
  } catch (error) {
    throw new Error(`ONNX Runtime Web cannot be loaded (${line(error)}); build the page again with make web`);
  }
  let session;
  if (place.name === "webgpu") {
    try {
      session = await create(bytes, "webgpu");
      const cpu = await create(bytes, "wasm");
      await prove(session, cpu, card);
      await cpu.release();
    } catch (error) {
      await session?.release().catch(() => {});
      Object.assign(place, { name: "wasm", fallback: `WebGPU failed its trial (${line(error)})` });
    }
  }
  session = place.name === "webgpu" ? session : await create(bytes, "wasm");
  place.version = ort.env.versions?.web ?? ort.env.versions?.common;
  return {
    card,
    place,
    run: (planes, wide, high, strength) => run(session, card, planes, wide, high, strength),
    close: () => session.release(),
  };
}

const create = (bytes, name) => ort.InferenceSession.create(bytes, { executionProviders: [name] });

async function run(session, card, planes, wide, high, strength) {
  const image = new ort.Tensor("float32", planes, [1, card.channels, high, wide]);
  const given = { image };
  if (card.strength?.unit) {
    const strengths = new Float32Array(high * wide).fill(strength);
    given.strength = new ort.Tensor("float32", strengths, [1, 1, high, wide]);
  }
  const { smooth } = await session.run(given, ["smooth"]);
  if (String(smooth.dims) !== String(image.dims)) throw new Error(`the network made ${smooth.dims} of ${image.dims}`);
  return smooth.data;
}

// A graphics card's driver may give wrong values without an error.
async function prove(session, cpu, card) {
  const planes = new Float32Array(card.channels * PROOF * PROOF);
  for (let i = 0; i < planes.length; i++)
    planes[i] = 0.5 + 0.3 * Math.sin(i / 7) * Math.cos(i / 450) + 0.2 * ((i * 0.618034) % 1);
  for (const share of [0.2, 0.8]) {
    const strength = card.strength?.unit && card.strength.least + share * (card.strength.most - card.strength.least);
    const [there, here] = [
      await run(session, card, planes, PROOF, PROOF, strength),
      await run(cpu, card, planes, PROOF, PROOF, strength),
    ];
    const worst = there.reduce(
      (most, value, i) => (Math.abs(value - here[i]) <= most ? most : Math.abs(value - here[i])),
      0,
    );
    if (!(worst <= CLOSE))
      throw new Error(`its values differ from WASM's by ${(255 * worst).toFixed(1)} levels of 255`);
  }
}

async function download(url, name) {
  const answer = await fetch(url).catch((error) => {
    throw new Error(`${name} cannot be loaded (${line(error)})`);
  });
  if (!answer.ok)
    throw new Error(`${name} cannot be loaded: the host answers ${answer.status}; build the page again with make web`);
  return new Uint8Array(await answer.arrayBuffer());
}

export const line = (error) =>
  String(error?.message ?? error)
    .replace(/\s+/g, " ")
    .slice(0, 200);
