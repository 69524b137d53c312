// The page: pictures are taken, shown, run through a network and saved. What computes is in worker.js.

import { Cancelled, WorkerLink } from "./link.js";
import { checkSize, NOT_ONE } from "./picture.js";
import { element, mix, model, offerModels, shortened, showModel, showPlace, showStrength } from "./settings.js";
import { strength, strengthTold } from "./settings.js";
import { show, showCompared, showCut } from "./view.js";

let worker = new WorkerLink();
let [file, opened, busy, result] = [null, false, false, null];
let turns = 0; // pictures that were given; only the last one counts

function tell(text, error = "") {
  element.status.textContent = text;
  element.error.textContent = error;
}

const fail = (error) => (error instanceof Cancelled ? null : tell("", error.message));

function showButtons() {
  element.run.disabled = !file || busy;
  element.save.disabled = !result || busy;
  element.cancel.hidden = !busy;
  element.controls.toggleAttribute("data-busy", busy);
}

async function take(given) {
  if (!given) return;
  stop();
  const turn = ++turns;
  [file, opened, result] = [null, false, null];
  showCompared(element.stage, false);
  showButtons();
  tell("Reading the picture ...");
  let problem = null;
  try {
    await lookAt(given);
    if (turn === turns) await open(given);
  } catch (error) {
    problem = error;
  }
  if (turn !== turns) return;
  file = problem ? null : given;
  [element.drop.hidden, element.stage.hidden, element.bar.hidden] = [Boolean(file), !file, !file];
  showButtons();
  if (problem) fail(problem);
  else tell("");
}

// What it is and how large, before all of it is taken into memory.
async function lookAt(given) {
  const image = new Image();
  image.src = URL.createObjectURL(given);
  try {
    await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject }));
  } catch {
    throw new Error(NOT_ONE);
  } finally {
    URL.revokeObjectURL(image.src);
  }
  checkSize(image.naturalWidth, image.naturalHeight, 1, 1);
}

async function open(given) {
  const { width, height, grey, notes, rgba } = await worker.call("open", { file: given });
  opened = true;
  show(element.before, rgba, width, height);
  const facts = `${given.name || "pasted picture"}, ${width} × ${height}${grey ? ", grey" : ""}.`;
  element.facts.textContent = [facts, ...notes].join(" ");
}

async function run() {
  if (!file || busy) return;
  busy = true;
  showButtons();
  tell(`Loading ${model()} ...`);
  element.progress.hidden = false;
  element.progress.removeAttribute("value");
  const wanted = { model: model(), backend: element.backend.value, strength: strength(), mix: mix() };
  try {
    if (!opened || result?.enlarged) await open(file);
    const found = await worker.call("run", wanted, showProgress);
    result = { ...wanted, enlarged: Boolean(found.before), strength: found.strength };
    if (found.before) show(element.before, found.before, found.width, found.height);
    show(element.after, found.after, found.width, found.height);
    showCompared(element.stage, true);
    showPlace(found.place);
    const value = strengthTold(wanted.model, found.strength, wanted.strength === "auto");
    const tiles = `${found.tiles} tile${found.tiles > 1 ? "s" : ""}`;
    const told = `${wanted.model}${value}: ${tiles} in ${(found.milliseconds / 1000).toFixed(1)} s.`;
    tell([told, ...found.notes].join(" "));
    if (wanted.mix !== mix()) await remix();
  } catch (error) {
    if (error.broken) restart();
    fail(error);
  }
  busy = false;
  element.progress.hidden = true;
  showButtons();
}

function showProgress(done, total) {
  if (done) [element.progress.max, element.progress.value] = [total, done];
  tell(done ? `${done} of ${total} tiles are done` : `Running: ${total} tile${total > 1 ? "s" : ""} ...`);
}

function stop() {
  if (!busy) return;
  restart();
  tell("Cancelled.");
}

// With the worker goes what it held: the picture as it was read, and its result.
function restart() {
  worker.end();
  worker = new WorkerLink();
  [opened, result] = [false, null];
  showCompared(element.stage, false);
}

let [mixing, again] = [false, false];

async function remix() {
  element.mixValue.value = `${element.mix.value} %`;
  again = true;
  if (mixing) return; // which then goes on to the last value
  mixing = true;
  try {
    while (again && result) {
      [again, result.mix] = [false, mix()];
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
    const at = result.strength === null ? "" : `-${shortened(result.strength)}`;
    link.href = URL.createObjectURL(png);
    link.download = `${(file.name || "picture").replace(/\.[^.]*$/, "")}-${result.model}${at}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    tell(`${link.download} is saved: ${(png.size / 1e6).toFixed(1)} MB.`);
  } catch (error) {
    fail(error);
  }
}

const where = () => worker.call("where", { backend: element.backend.value }).then(showPlace, fail);
const chosen = () => showModel().catch(fail);
const over = (yes) => document.body.classList.toggle("over", yes);

offerModels();
element.error.textContent = "";
element.file.onchange = () => take(element.file.files[0]);
element.another.onclick = () => ((element.file.value = ""), element.file.click());
element.controls.onsubmit = (event) => (event.preventDefault(), run());
element.cancel.onclick = stop;
element.save.onclick = save;
element.mix.oninput = remix;
element.models.onchange = chosen;
element.strength.oninput = showStrength;
element.auto.onchange = showStrength;
element.backend.onchange = where;
element.compare.oninput = () => showCut(element.pictures, element.compare);
element.actual.onchange = () => element.stage.classList.toggle("actual", element.actual.checked);
document.ondragover = (event) => (event.preventDefault(), over(true));
document.ondragleave = (event) => event.relatedTarget ?? over(false);
document.ondrop = (event) => (event.preventDefault(), over(false), take(event.dataTransfer.files[0]));
document.onpaste = (event) => take(event.clipboardData.files[0]);
chosen();
where();
