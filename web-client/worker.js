// The client core in a worker of its own: what it computes never stops the page. One worker of a browser has the profile
// at a time; the browser's locks say which.
import { key } from "./chest.js";
import init, { Client, readInvite } from "./client.js";

// The lock that whoever has the profile holds until the worker ends.
const LOCK = "momedo";
// How long a tab that was just closed or loaded again may take to let go, in milliseconds: browsers give a worker that
// computes two seconds to end.
const PATIENCE = 3000;

const loaded = init();
let client;
// Commands run one after another.
let last = Promise.resolve();

// What a running command asks a person, by the command's number.
const asked = new Map();

const answer = (id, kind, value) => postMessage({ id, kind, value });
const refused = (word, said) => JSON.stringify({ error: word, said });

// Holds the lock for as long as the worker lives; false when another tab has it.
function hold(takesOver) {
  return new Promise((resolve) => {
    const options = takesOver ? { steal: true } : { signal: AbortSignal.timeout(PATIENCE) };
    let had = false;
    navigator.locks
      .request(LOCK, options, () => {
        had = true;
        resolve(true);
        return new Promise(() => {});
      })
      .catch(() => {
        if (!had) return resolve(false);
        // Another tab took it: nothing is written here any more, whatever is under way. The file is let go of with the worker.
        answer(null, "taken-over", null);
        close();
      });
  });
}

async function open({ language, takesOver }) {
  await loaded;
  for (const [there, what] of [
    [globalThis.isSecureContext, "HTTPS"],
    [navigator.locks, "Web Locks"],
    [globalThis.crypto?.subtle, "WebCrypto"],
    [navigator.storage?.getDirectory, "private files (OPFS)"],
    [globalThis.indexedDB, "IndexedDB"],
  ]) {
    if (!there) throw refused("not-possible-here", `This browser lacks ${what}: a newer one is needed.`);
  }
  if (!(await hold(takesOver))) {
    throw refused("open-elsewhere", "momedo is open in another tab or window of this browser.");
  }
  // The tab that had it closes its file first. What is wrong otherwise stays wrong.
  for (let tries = 0; ; tries += 1) {
    try {
      client = await Client.open(language, await key());
      return "{}";
    } catch (error) {
      if (tries * 20 > PATIENCE) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function run(id, { words, files }) {
  if (client === undefined) throw refused("not-open", "The client is not open here.");
  const ask = () =>
    new Promise((resolve) => {
      asked.set(id, resolve);
      answer(id, "ask", null);
    });
  try {
    await client.run(words, files, (kind, json) => answer(id, kind, json), ask);
  } finally {
    asked.delete(id);
  }
  return "{}";
}

// A saved file under its own name, which is the last part of its path.
async function saved(path) {
  if (client === undefined) throw refused("not-open", "The client is not open here.");
  return new File([await client.saved(path)], path.slice(path.lastIndexOf("/") + 1));
}

async function work({ id, command, value }) {
  try {
    const invite = async (link) => (await loaded, readInvite(link));
    const commands = { open, run: (given) => run(id, given), saved, invite };
    answer(id, "done", await commands[command](value));
  } catch (error) {
    answer(id, "failed", typeof error === "string" ? error : refused("broken", String(error)));
  }
}

addEventListener("message", ({ data }) => {
  // A command waits for it, so it waits for no command.
  if (data.command === "input") return asked.get(data.id)?.(data.value);
  last = last.then(() => work(data));
});
