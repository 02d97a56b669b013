// The client core in a worker of its own: what it computes never stops the page.
import init, { readInvite } from "./client.js";

const ready = init();

addEventListener("message", async ({ data }) => {
  try {
    await ready;
    postMessage(readInvite(data));
  } catch (error) {
    postMessage(JSON.stringify({ error: String(error) }));
  }
});
