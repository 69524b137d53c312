// What is chosen on the page: network, strength, mix, and where it runs.

import { placeOf, readCard, STEPS, strengthAt } from "./card.js";
import { MODELS } from "./models.js";

// Each part of the page by its id.
export const element = new Proxy({}, { get: (_, id) => document.getElementById(id) });
const cards = {};

export const model = () => element.models.querySelector(":checked").value;
export const mix = () => element.mix.value / 100;
const card = () => cards[model()];
const estimates = () => "noise" in (card()?.task ?? {});

// A number, "auto", or null for a network of one strength.
export function strength() {
  if (!card()?.strength.unit) return null;
  return estimates() && element.auto.checked ? "auto" : strengthAt(card().strength, element.strength.value);
}

// Of a network that ran: " at λ 0.02"
export function strengthTold(name, value, estimated) {
  if (value === null) return "";
  return ` at ${symbol(name)} ${shortened(value)}${estimated ? " (estimated)" : ""}`;
}

export const shortened = (value) => Number(value.toPrecision(3));
const symbol = (name) => cards[name].strength.unit.split(" ")[0];

export function offerModels() {
  for (const name of Object.keys(MODELS)) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "model", value: name, checked: name === "l0" });
    label.append(input, Object.assign(document.createElement("span"), { textContent: name }));
    element.models.append(label);
  }
}

// Shows what the chosen network takes; an error where its file is missing or torn.
export async function showModel() {
  const name = model();
  element.about.textContent = MODELS[name];
  try {
    cards[name] ??= await fetchCard(`${name}.onnx`);
  } finally {
    if (name === model()) showCard(name); // and no other was chosen meanwhile
  }
}

async function fetchCard(name) {
  const answer = await fetch(new URL(`models/${name}`, import.meta.url)).catch(() => null);
  if (!answer) throw new Error(`${name} cannot be loaded from this host; is it still there?`);
  if (!answer.ok)
    throw new Error(`${name} cannot be loaded: the host answers ${answer.status}; make web builds the page`);
  return readCard(new Uint8Array(await answer.arrayBuffer()), name);
}

function showCard(name) {
  const known = card()?.strength ?? {};
  element.strengthBox.hidden = !known.unit;
  element.autoBox.hidden = !estimates();
  element.controls.dataset.card = card() ? name : "";
  if (!known.unit) return;
  element.strengthName.textContent = known.unit;
  element.strength.max = STEPS;
  element.strength.value = placeOf(known, known.default);
  showStrength();
}

export function showStrength() {
  const value = strength();
  element.strength.disabled = value === "auto";
  element.strengthValue.value = value === "auto" ? "estimated" : value;
  element.strength.setAttribute("aria-valuetext", `${symbol(model())} ${value}`);
}

// Where it runs, aloud where that is not the graphics card.
export function showPlace({ name, device, fallback, threads, isolated, version }) {
  const library = version ? `ONNX Runtime Web ${version}, ` : "";
  const wasm = `WASM, ${threads} thread${threads > 1 ? "s" : ""}`;
  element.place.textContent = library + (name === "wasm" ? wasm : device ? `WebGPU: ${device}` : "WebGPU");
  const why = fallback ? [`Not on WebGPU: ${fallback}. It runs on WASM, which is slower.`] : [];
  if (name === "wasm" && !isolated) why.push("One thread, since this host does not send the headers for more.");
  element.fallback.textContent = why.join(" ");
  element.fallback.hidden = !why.length;
}
