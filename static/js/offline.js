/* The page without a connection: tries again when asked, and by itself when the browser is back online. Whoever signed in
   last on this device can leave files here, which wait until their study is named (queue-store.js). */

import { openStore } from "./queue-store.js";

const panel = document.querySelector("[data-offline-upload]");
const texts = panel.dataset;
let keeping = Promise.resolve();

async function again() {
  const state = document.querySelector("[data-offline-state]");
  if (navigator.onLine) state.textContent = state.dataset.textBack;
  await keeping; // loading the page would lose a file that is being written
  location.reload();
}

document.querySelector("[data-offline-retry]").addEventListener("click", again);
addEventListener("online", again);

const store = await openStore();
const who = await store?.who();
if (who) {
  panel.hidden = false;
  await count();
  take("[data-offline-files]", {});
  take("[data-offline-film]", { capture: "film_photo" });
}

function take(selector, fields) {
  const input = panel.querySelector(selector);
  input.addEventListener("change", () => {
    const note = panel.querySelector("[data-offline-note]").value.trim();
    for (const file of input.files) {
      const words = row(file.name);
      keeping = keeping.then(() => leave(file, { note, fields }, words));
    }
    input.value = "";
  });
}

async function leave(file, { note, fields }, words) {
  try {
    await store.add(who, { name: file.name, type: file.type, fields, note, endpoint: "" }, file);
    words.textContent = texts.textKept;
  } catch (error) {
    words.textContent = texts.textFull;
    if (error.name !== "QuotaExceededError") throw error;
  }
  await count();
}

function row(name) {
  const made = panel.querySelector("[data-offline-row]").content.firstElementChild.cloneNode(true);
  made.querySelector("bdi").textContent = name;
  const words = made.querySelector(".words");
  words.textContent = texts.textKeeping;
  panel.querySelector("[data-offline-rows]").append(made);
  return words;
}

async function count() {
  const { length } = await store.list(who);
  panel.querySelector("[data-offline-count]").textContent = length ? texts.textCount.replace("{n}", length) : "";
}
