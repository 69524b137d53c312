// The worker, which computes, and calls of it as promises.

// Started through a blob's address, a worker keeps to the page's Content-Security-Policy; by its own address it would
// keep to none on hosts that send no headers.
export class WorkerLink {
  #calls = new Map();
  #count = 0;

  constructor() {
    const script = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
    const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    this.#worker = new Worker(address, { type: "module" });
    this.#ready = new Promise((ready, failed) => {
      this.#worker.onerror = (event) => {
        event.preventDefault();
        const why = event.message || "its files are missing, or the browser is too old";
        failed(new Error(`the worker of this page cannot run: ${why}`));
      };
      this.#worker.onmessage = ({ data }) => (data.ready ? ready() : this.#answer(data));
    });
    this.#ready.catch(() => {}).then(() => URL.revokeObjectURL(address));
  }

  #worker;
  #ready;

  // What the worker answers; `progress` is told {done, total} on the way.
  async call(does, given = {}, progress = () => {}) {
    await this.#ready;
    const id = ++this.#count;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject, progress });
      this.#worker.postMessage({ id, does, ...given });
    });
  }

  // Ends whatever it does; its calls fail with `Cancelled`.
  end() {
    this.#worker.terminate();
    for (const { reject } of this.#calls.values()) reject(new Cancelled("cancelled"));
    this.#calls.clear();
  }

  #answer({ id, result, error, broken, done, total }) {
    const call = this.#calls.get(id);
    if (!call) return;
    if (total) return call.progress(done, total);
    this.#calls.delete(id);
    if (error === undefined) call.resolve(result);
    else call.reject(Object.assign(new Error(error), { broken }));
  }
}

export class Cancelled extends Error {}
