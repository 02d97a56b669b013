// What pages do a little better with than without.
"use strict";

// Live figures on the overview.
const figures = document.querySelector("[data-live]");
if (figures) {
  const numbers = new Intl.NumberFormat(document.documentElement.lang);
  const events = new EventSource(figures.dataset.live);
  events.onmessage = (event) => {
    const status = JSON.parse(event.data);
    for (const figure of figures.querySelectorAll("[data-figure]")) {
      const value = status[figure.dataset.figure];
      if (value !== undefined) figure.textContent = numbers.format(value);
    }
  };
}

// How strong a new password is: length counts most, variety some.
for (const input of document.querySelectorAll("[data-strength]")) {
  const shown = document.getElementById(input.dataset.strength);
  input.addEventListener("input", () => {
    const variety = new Set(input.value.toLowerCase()).size;
    const score = input.value.length + variety;
    shown.hidden = input.value === "";
    shown.textContent =
      input.value.length < 10 || variety < 5 ? shown.dataset.weak : score < 26 ? shown.dataset.fair : shown.dataset.strong;
  });
}

// Neighbours come and go: that part of the page follows, unless somebody is busy in it.
const live = document.getElementById("live");
if (live) {
  new EventSource(live.dataset.changes).onmessage = async () => {
    const answer = await fetch(live.dataset.page);
    const text = await answer.text();
    if (!answer.ok || live.contains(document.activeElement) || live.querySelector("details[open]")) return;
    const next = new DOMParser().parseFromString(text, "text/html").getElementById("live");
    if (next) live.replaceChildren(...next.childNodes);
  };
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = button.dataset.done;
  });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// Typing an own address chooses it.
const own = document.getElementById("own_address");
own?.addEventListener("input", () => {
  document.querySelector('input[name="address"][value="own"]').checked = own.value !== "";
});

// English dates that nobody reads the other way round.
const locale = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;

// Times in the time zone of whoever reads them; without this they stand there in UTC.
const localTime = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]")) {
  const exact = new Date(time.dateTime);
  if (Number.isNaN(exact.valueOf())) continue;
  time.title = time.textContent;
  time.textContent = localTime.format(exact);
}
for (const text of document.querySelectorAll("[data-hour]")) {
  const at = new Date(text.dataset.hour);
  if (Number.isNaN(at.valueOf())) continue;
  const hour = at.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });
  text.textContent = text.dataset.count === undefined ? hour : `${hour}: ${text.dataset.count}`;
}
for (const note of document.querySelectorAll(".without-script")) note.hidden = true;
