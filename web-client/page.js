// Shows what the invite in the address says.
import { Line } from "./line.js";

const answer = document.getElementById("answer");
const line = new Line({ onBroken: () => (answer.textContent = answer.dataset.failed) });
line
  .invite(`${location.origin}/i${location.hash}`)
  .then((invite) => (answer.textContent = JSON.stringify(invite)))
  .catch(() => (answer.textContent = answer.dataset.failed));
