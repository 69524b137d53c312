// What computes, beside the page. Each message {id, does, ...} is answered by {id, result} or {id, error, broken}, and
// on the way by {id, done, total}. To cancel, or where a network failed (broken), the page starts another worker.

import { choose, line, open } from "./backend.js";
import { estimateSigma } from "./noise.js";
import { checkSize, decode } from "./picture.js";
import { encodePng } from "./png.js";
import { enlarges, jobFor } from "./smooth.js";
import { smoothInMemory } from "./tiles.js";

let [picture, network, job, shown] = [null, null, null, null];

const tasks = {
  where({ backend }) {
    return choose(backend);
  },
  async open({ file }) {
    picture = job = shown = null;
    picture = await decode(file);
    const { width, height, rgba, grey, notes } = picture;
    return { width, height, grey, notes, rgba: rgba.slice() };
  },
  async run({ model, backend, strength, mix }, progress) {
    if (network?.name !== `${model} ${backend}`) {
      await network?.close();
      network = null;
      network = { name: `${model} ${backend}`, ...(await open(model, backend)) };
    }
    const { card, place } = network;
    const scale = enlarges(card);
    checkSize(picture.width, picture.height, scale, card.minimum_side);
    job = null; // before the next one takes its memory
    const next = jobFor(card, picture);
    const wanted = strength === "auto" ? estimated(card) : { strength, notes: [] };
    const began = performance.now();
    const run = (planes, wide, high) => network.run(planes, wide, high, wanted.strength);
    const done = await smoothInMemory(run, next.image, card, progress);
    job = next;
    const before = scale > 1 ? job.render(0) : null;
    return {
      ...size(),
      before,
      after: render(mix),
      place,
      milliseconds: performance.now() - began,
      ...done,
      strength: wanted.strength,
      notes: [...wanted.notes, ...done.notes],
    };
  },
  async mix({ mix }) {
    return { ...size(), after: render(mix) };
  },
  async save() {
    return { file: await encodePng(shown, job.width, job.height, picture.grey) };
  },
};

const size = () => ({ width: job.width, height: job.height });

function render(mix) {
  shown = job.render(mix);
  return shown.slice();
}

function estimated({ strength: { least, most } }) {
  const [given, channels] = [picture.rgba, picture.grey ? 1 : 3];
  const shown = Uint8Array.from({ length: picture.width * picture.height }, (_, i) => picture.rgba[4 * i + 3] > 0);
  const values = new Uint8Array(picture.width * picture.height * channels);
  for (let i = 0, to = 0; i < given.length; i += 4) for (let c = 0; c < channels; c++) values[to++] = given[i + c];
  const sigma = estimateSigma(values, picture.height, picture.width, channels, shown);
  const beyond = sigma > most ? [`σ ${sigma.toFixed(1)} is estimated, and ${most} taken, the model's limit.`] : [];
  return { strength: Math.min(most, Math.max(least, sigma)), notes: beyond };
}

// One after the other, in the order they were sent.
let last = Promise.resolve();
globalThis.onmessage = ({ data: { id, does, ...given } }) => {
  last = last.then(async () => {
    try {
      const result = await tasks[does](given, (done, total) => postMessage({ id, done, total }));
      const buffers = [result.rgba, result.before, result.after].filter(Boolean).map((pixels) => pixels.buffer);
      postMessage({ id, result }, buffers);
    } catch (error) {
      const memory = error instanceof RangeError && /alloc|length/i.test(error.message);
      const said = memory ? "this browser has no memory for that; take a smaller picture" : line(error);
      postMessage({ id, error: said, broken: does === "run" && !job });
    }
  });
};
postMessage({ ready: true });
