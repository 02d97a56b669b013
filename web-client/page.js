// The page's side of the worker: asks and shows what is answered.

// Nothing but this worker is ever loaded by an address that a script made.
const address = new URL("worker.js", import.meta.url).href;
const policy = globalThis.trustedTypes?.createPolicy("momedo", { createScriptURL: () => address });

const worker = new Worker(policy ? policy.createScriptURL("") : address, { type: "module" });
const answer = document.getElementById("answer");
worker.addEventListener("message", ({ data }) => {
  answer.textContent = data;
});
worker.addEventListener("error", () => {
  answer.textContent = answer.dataset.failed;
});
worker.postMessage(`${location.origin}/i${location.hash}`);
