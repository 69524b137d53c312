// The page: what is chosen, shown, told and saved. What computes is in worker.js.

import { placeOf, readCard, STEPS, strengthAt } from "./card.js";
import { Cancelled, WorkerLink } from "./link.js";
import { MODELS } from "./models.js";
import { show, showActual, showCut } from "./view.js";
import { MOST_PIXELS } from "./picture.js";

const element = new Proxy({}, { get: (_, id) => document.getElementById(id) });
const cards = {};
let worker = new WorkerLink();
let [file, opened, busy, result] = [null, false, false, null];

const model = () => element.models.querySelector(":checked").value;
const card = () => cards[model()];
const mix = () => element.mix.value / 100;
const estimates = () => "noise" in (card()?.task ?? {});
const auto = () => estimates() && element.auto.checked;
const strength = () => (!card()?.strength.unit ? null : auto() ? "auto" : strengthAt(card().strength, element.strength.value));

function tell(text, error = "") {
  element.status.textContent = text;
  element.error.textContent = error;
}

const fail = (error) => (error instanceof Cancelled ? null : tell("", error.message));

// ---------------------------------------------------------------- the picture

async function take(given) {
  if (!given) return;
  stop();
  tell("Reading the picture ...");
  file = given;
  [opened, result] = [false, null];
  showResult();
  try {
    await lookAt(given);
    await open();
    tell("");
  } catch (error) {
    file = null;
    fail(error);
  }
  [element.drop.hidden, element.stage.hidden, element.bar.hidden] = [Boolean(file), !file, !file];
  showButtons();
}

// What it is and how large, before all of it is taken into memory.
async function lookAt(given) {
  const image = new Image();
  image.src = URL.createObjectURL(given);
  try {
    await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject }));
  } catch {
    throw new Error(`${given.name || "the picture"}: expected a picture (PNG, JPEG, WebP, AVIF, GIF or BMP), got something else or a damaged file`);
  } finally {
    URL.revokeObjectURL(image.src);
  }
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  if (width * height > MOST_PIXELS)
    throw new Error(`${given.name}: expected at most ${MOST_PIXELS / 1e6} million pixels, got ${width}x${height}; make it smaller first`);
}

async function open() {
  const { width, height, grey, notes, rgba } = await worker.call("open", { file });
  opened = true;
  show(element.before, rgba, width, height);
  element.facts.textContent = [`${file.name || "pasted picture"}, ${width} × ${height}${grey ? ", grey" : ""}.`, ...notes].join(" ");
}

// ---------------------------------------------------------------- running

async function run() {
  if (!file || busy) return;
  busy = true;
  showButtons();
  tell(`Loading ${model()} ...`);
  element.progress.hidden = false;
  element.progress.removeAttribute("value");
  const wanted = { model: model(), backend: element.backend.value, strength: strength(), mix: mix() };
  try {
    if (!opened || result?.before) await open();
    const told = (done, total) => {
      [element.progress.max, element.progress.value] = [total, done];
      tell(`Tile ${done} of ${total}`);
    };
    const found = await worker.call("run", wanted, told);
    if (found.before) show(element.before, found.before, found.width, found.height);
    result = { ...wanted, before: Boolean(found.before), strength: found.strength };
    showResult(found);
    showPlace(found.place);
    const value = found.strength === null ? "" : ` at ${strengthName()} ${Number(found.strength.toPrecision(3))}${wanted.strength === "auto" ? " (estimated)" : ""}`;
    tell([`${wanted.model}${value}: ${found.tiles} tile${found.tiles > 1 ? "s" : ""} in ${(found.milliseconds / 1000).toFixed(1)} s.`, ...found.notes].join(" "));
    if (wanted.mix !== mix()) await remix();
  } catch (error) {
    fail(error);
  }
  busy = false;
  element.progress.hidden = true;
  showButtons();
}

function stop() {
  if (!busy) return;
  worker.end();
  worker = new WorkerLink();
  [opened, result] = [false, null];
  showResult();
  tell("Cancelled.");
}

let [mixing, again] = [false, false];

async function remix() {
  element.mixValue.value = `${element.mix.value} %`;
  if (!result) return;
  again = true;
  if (mixing) return;
  mixing = true;
  try {
    while (again && result) {
      again = false;
      result.mix = mix();
      const { after, width, height } = await worker.call("mix", { mix: result.mix });
      if (result) show(element.after, after, width, height);
    }
  } catch (error) {
    fail(error);
  }
  mixing = false;
}

async function save() {
  tell("Packing the PNG ...");
  try {
    const { file: png } = await worker.call("save");
    const link = document.createElement("a");
    const of = result.strength === null ? "" : `-${Number(result.strength.toPrecision(3))}`;
    link.href = URL.createObjectURL(png);
    link.download = `${(file.name || "picture").replace(/\.[^.]*$/, "")}-${result.model}${of}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    tell(`${link.download} is saved: ${(png.size / 1e6).toFixed(1)} MB.`);
  } catch (error) {
    fail(error);
  }
}

// ---------------------------------------------------------------- what is shown

function showResult(found) {
  if (found) show(element.after, found.after, found.width, found.height);
  const compared = Boolean(found);
  for (const part of [element.after, element.compare, ...document.querySelectorAll(".divider, .tag")]) part.hidden = !compared;
  element.stage.classList.toggle("compared", compared);
}

function showButtons() {
  element.run.disabled = !file || busy;
  element.save.disabled = !result || busy;
  element.cancel.hidden = !busy;
  element.controls.toggleAttribute("data-busy", busy);
}

const strengthName = () => card().strength.unit.split(" ")[0];

async function showModel() {
  const name = model();
  element.about.textContent = MODELS[name];
  try {
    const answer = cards[name] ? null : await fetch(new URL(`models/${name}.onnx`, import.meta.url));
    if (answer && !answer.ok) throw new Error(`${name}.onnx cannot be loaded: the host answers ${answer.status}; build the page again with make web`);
    if (answer) cards[name] = await readCard(new Uint8Array(await answer.arrayBuffer()), `${name}.onnx`);
  } catch (error) {
    fail(error instanceof TypeError ? new Error(`${name}.onnx cannot be loaded from this host; is it still there?`) : error);
  }
  if (name !== model()) return; // another one was chosen meanwhile
  const { strength } = cards[name] ?? { strength: {} };
  element.strengthBox.hidden = !strength.unit;
  element.autoBox.hidden = !estimates();
  element.controls.dataset.card = cards[name] ? name : "";
  if (!strength.unit) return;
  element.strengthName.textContent = strength.unit;
  element.strength.max = STEPS;
  element.strength.value = placeOf(strength, strength.default);
  showStrength();
}

function showStrength() {
  const value = strength();
  element.strength.disabled = value === "auto";
  element.strengthValue.value = value === "auto" ? "estimated" : value;
  element.strength.setAttribute("aria-valuetext", `${strengthName()} ${value}`);
}

function showPlace({ name, card: device, fallback, asked, threads, isolated = globalThis.crossOriginIsolated, version }) {
  const many = `${threads} thread${threads > 1 ? "s" : ""}`;
  const library = version ? `ONNX Runtime Web ${version}, ` : "";
  element.place.textContent = library + (name === "webgpu" ? `WebGPU${device ? `: ${device}` : ""}` : `WASM, ${many}`);
  const slow = name === "wasm" && !isolated ? " One thread, since this host does not send the headers for more." : "";
  element.fallback.textContent = fallback ? `Not on WebGPU: ${fallback}. It runs on WASM, which is slower.${slow}` : slow.trim();
  element.fallback.hidden = !element.fallback.textContent || (asked && !slow);
}

async function where() {
  await worker.call("where", { backend: element.backend.value }).then(showPlace, fail);
}

// ---------------------------------------------------------------- the start

for (const name of Object.keys(MODELS)) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "model", value: name, checked: name === "l0" });
  label.append(input, Object.assign(document.createElement("span"), { textContent: name }));
  element.models.append(label);
}
element.error.textContent = "";
element.file.onchange = () => take(element.file.files[0]);
element.another.onclick = () => ((element.file.value = ""), element.file.click());
element.controls.onsubmit = (event) => (event.preventDefault(), run());
element.cancel.onclick = stop;
element.save.onclick = save;
element.mix.oninput = remix;
element.models.onchange = showModel;
element.strength.oninput = showStrength;
element.auto.onchange = showStrength;
element.backend.onchange = where;
element.compare.oninput = () => showCut(element.pictures, element.compare);
element.actual.onchange = () => showActual(element.stage, element.actual.checked);
document.ondragover = (event) => (event.preventDefault(), document.body.classList.add("over"));
document.ondragleave = (event) => event.relatedTarget ?? document.body.classList.remove("over");
document.ondrop = (event) => (event.preventDefault(), document.body.classList.remove("over"), take(event.dataTransfer.files[0]));
document.onpaste = (event) => take(event.clipboardData.files[0]);
showModel();
where();
