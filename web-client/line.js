// The page's line to the worker: commands go there, lines, steps and outcomes come back.

// Nothing but this worker is ever loaded by an address that a script made.
const address = new URL("worker.js", import.meta.url).href;
const policy = globalThis.trustedTypes?.createPolicy("momedo", { createScriptURL: () => address });

// A refusal: `error` is a word for programs, `said` is for people.
export class Refused extends Error {
  constructor({ error, said }) {
    super(said);
    this.word = error;
  }
}

// Answers are JSON, but for files.
const read = (value) => (typeof value === "string" ? JSON.parse(value) : value);

export class Line {
  #worker = new Worker(policy ? policy.createScriptURL("") : address, { type: "module" });
  #waiting = new Map();
  #next = 1;
  #ended;

  // `onTakenOver` hears that another tab has the profile now, `onBroken` that the worker ended.
  constructor({ onTakenOver = () => {}, onBroken = () => {} } = {}) {
    this.#worker.addEventListener("message", ({ data: { id, kind, value } }) => {
      if (kind === "taken-over") {
        this.#end(new Refused({ error: "taken-over", said: "momedo was opened in another tab or window." }));
        return onTakenOver();
      }
      const waiting = this.#waiting.get(id);
      if (kind === "line") return waiting?.lines.push(JSON.parse(value)), waiting?.tell("line", JSON.parse(value));
      if (kind === "step") return waiting?.tell("step", JSON.parse(value));
      if (kind === "ask") return this.#input(id, waiting);
      this.#waiting.delete(id);
      if (kind === "done") waiting?.resolve({ lines: waiting.lines, value: read(value) });
      else waiting?.reject(new Refused(JSON.parse(value)));
    });
    this.#worker.addEventListener("error", (event) => {
      const error = new Refused({ error: "broken", said: event.message ?? "the worker ended" });
      this.#end(error);
      onBroken(error);
    });
  }

  #end(error) {
    this.#ended = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  // What a person types goes to the command that asked; nothing, if nobody is there to type.
  async #input(id, waiting) {
    const typed = async () => waiting?.ask();
    const value = (await typed().catch(() => "")) ?? "";
    this.#worker.postMessage({ id, command: "input", value });
  }

  #ask(command, value, tell = () => {}, ask = () => "") {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject, tell, ask, lines: [] });
      this.#worker.postMessage({ id, command, value });
    });
  }

  // Opens what this browser keeps; with `takesOver` another tab has to let go of it. Resolves to whether the browser
  // promised to keep it: without that it may throw it away when the device has little room.
  async open(language, takesOver = false) {
    await this.#ask("open", { language, takesOver });
    return { isKept: (await navigator.storage?.persist?.()) ?? false };
  }

  // Runs a command of the command line; `files` are what it sends, by name. `tell(kind, value)` hears each line and step as
  // it comes; `ask()` gives, or promises, a line that somebody types. Resolves to its lines.
  async run(words, files = {}, tell = () => {}, ask = () => "") {
    return (await this.#ask("run", { words, files }, tell, ask)).lines;
  }

  // The file at a path that a command answered with.
  async saved(path) {
    return (await this.#ask("saved", path)).value;
  }

  // What an invite link says.
  async invite(link) {
    return (await this.#ask("invite", link)).value;
  }

  // Ends the worker at once, as a crash would.
  kill() {
    this.#worker.terminate();
    this.#end(new Refused({ error: "broken", said: "the worker was ended" }));
  }
}
