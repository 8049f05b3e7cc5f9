/* The note about files that wait on this device: names once the person's key is here, progress, and ways out.
   Markup: templates/diagnosis/_upload_queue.html. A page of one study names its door in [data-upload-parts]. */

import { assign, discard, drain, queue, ready } from "./queue.js";

const root = document.querySelector("[data-queue]");
const texts = root.dataset;
const locale = document.documentElement.lang || "en";
const time = new Intl.DateTimeFormat(locale, { weekday: "short", hour: "2-digit", minute: "2-digit" });
const size = new Intl.NumberFormat(locale, { style: "unit", unit: "megabyte", maximumFractionDigits: 1 });
const thumbnails = new Map();
const study = () => document.querySelector("form[data-upload-parts]:not([data-upload-parts=''])")?.dataset.uploadParts ?? "";
let shown = Promise.resolve();

document.addEventListener("queue:changed", () => (shown = shown.then(show)));
document.addEventListener("queue:progress", ({ detail: { id, share } }) => {
  const bar = root.querySelector(`[data-queue-id="${id}"] progress`);
  if (bar) bar.value = share;
});
root.querySelector("[data-queue-send]").addEventListener("click", drain);
document.addEventListener("submit", leaving, true);

async function show() {
  if (!queue.store) return;
  const records = await queue.store.list(queue.identity);
  const abouts = await Promise.all(records.map(about));
  root.hidden = records.length === 0;
  root.querySelector("[data-queue-count]").textContent = texts.textCount.replace("{n}", records.length);
  const words = { unreachable: texts.textUnreachable, signedOut: texts.textSignedOut, other: texts.textOther };
  root.querySelector("[data-queue-trouble]").textContent = words[queue.trouble] ?? "";
  root.querySelector("[data-queue-sign-in]").hidden = queue.trouble !== "signedOut";
  root.querySelector("[data-queue-send]").hidden = !records.some(({ state }) => state === "waiting");
  root.classList.toggle("is-in-trouble", queue.trouble !== "");
  root.querySelector("[data-queue-rows]").replaceChildren(...records.map((record, index) => row(record, abouts[index])));
}

/* What a file is called needs the key; without it a file is told by its time. */
async function about(record) {
  const unnamed = { name: queue.names.get(record.id) ?? texts.textUnnamed.replace("{time}", time.format(record.at)), type: "" };
  if (!queue.key || record.state === "unreadable") return unnamed;
  try {
    const known = await queue.store.open(record, queue.key);
    if (record.state === "loose" && /^image\/(png|jpeg)$/.test(known.type) && !thumbnails.has(record.id)) {
      thumbnails.set(record.id, URL.createObjectURL(await queue.store.file(record, queue.key)));
    }
    return known;
  } catch (error) {
    if (error instanceof DOMException) return unnamed; // the sending finds out and says so
    throw error;
  }
}

function row(record, { name, note }) {
  const made = root.querySelector("[data-queue-row]").content.firstElementChild.cloneNode(true);
  const find = (part) => made.querySelector(part);
  const isSending = queue.sent.has(record.id);
  const state = isSending ? "sending" : record.state;
  made.classList.add(`is-${{ waiting: "kept", loose: "lost", unreadable: "refused" }[state] ?? state}`);
  made.dataset.queueId = record.id;
  find("[data-queue-name]").textContent = [name, note].filter(Boolean).join(" · ");
  find(".size").textContent = size.format(record.size / 1e6);
  const mayAssign = state === "loose" && queue.key && study();
  const loose = mayAssign ? texts.textLooseHere : texts.textLoose;
  const words = { waiting: texts.textWaiting, sending: texts.textSending, refused: texts.textRefused, unreadable: texts.textUnreadable, loose };
  find(".words").textContent = record.message || words[state];
  find("progress").hidden = !isSending;
  find("progress").value = queue.sent.get(record.id) ?? 0;
  const address = thumbnails.get(record.id);
  if (address) {
    const image = Object.assign(new Image(), { src: address, className: "thumb", alt: "" });
    find(".no-thumb").replaceWith(image);
  }
  find("[data-queue-assign]").hidden = !mayAssign;
  find("[data-queue-assign]").addEventListener("click", () => assign(record, study()));
  // Nothing is lost by a refusal: a photo taken here is nowhere else.
  find("[data-queue-save]").hidden = state !== "refused" || !queue.key;
  find("[data-queue-save]").addEventListener("click", () => save(record));
  find("[data-queue-remove]").hidden = isSending;
  find("[data-queue-remove]").addEventListener("click", () => {
    if (record.state === "unreadable" || window.confirm(texts.textRemove)) discard(record);
  });
  return made;
}

async function save(record) {
  const file = await queue.store.file(record, queue.key);
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: file.name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/* Signing out: what waits stays locked, and nobody can leave files in this person's name any more. */
async function leaving(event) {
  const form = event.target.closest?.("form");
  if (!form?.action.endsWith("/logout/") || form.dataset.left || !queue.store) return;
  event.preventDefault();
  event.stopPropagation();
  const waiting = (await queue.store.list(queue.identity)).filter(({ state }) => state === "waiting" || state === "loose");
  if (waiting.length && !window.confirm(texts.textSignout.replace("{n}", waiting.length))) return;
  await queue.store.leave();
  form.dataset.left = "true";
  form.requestSubmit();
}

ready.then(show);
