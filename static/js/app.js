/* Small things that every page has: waiting line and error notices of htmx, relative times, keys.

   For page authors
   - <time datetime="2026-03-04T09:14:00Z" data-relative>4 March 2026, 09:14</time> becomes "12 min ago" with
     the exact words as its title; it stays as written without JavaScript.
   - <input data-search-key>: focused by "/".  <button data-keys-open>: opens the list of keys ("?" too).
   - <button data-copy="#id-of-element">: copies that element's text or value.
   - <form data-confirm="Question?">: asks before sending.
   - <form data-autosubmit>: sends itself when a field in it changes (filters).
   - import { notify } from "./app.js"; notify("text", "error" | "warning" | "info" | "success"). */

const text = (name) => document.body.dataset[`text${name}`] ?? "";

export function notify(message, level = "info") {
  const holder = document.getElementById("toasts");
  if (!holder || !message) return;
  if ([...holder.children].some((child) => child.dataset.message === message)) return;
  const notice = document.createElement("div");
  notice.className = `notice notice-${level}`;
  notice.dataset.message = message;
  const words = document.createElement("div");
  words.textContent = message;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "btn-close";
  close.setAttribute("aria-label", text("Close"));
  close.addEventListener("click", () => notice.remove());
  notice.append(words, close);
  holder.append(notice);
  if (level !== "error") setTimeout(() => notice.remove(), 8000);
}

/* htmx ------------------------------------------------------------------------------------------ */
let waiting = 0;
function showWaiting(change) {
  waiting = Math.max(0, waiting + change);
  document.getElementById("page-progress")?.classList.toggle("is-on", waiting > 0);
}
const isQuiet = (event) => event.detail?.elt?.closest?.("[data-quiet]"); // polling elements
document.addEventListener("htmx:beforeRequest", (event) => isQuiet(event) || showWaiting(1));
document.addEventListener("htmx:afterRequest", (event) => isQuiet(event) || showWaiting(-1));
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr?.status;
  notify(text(status === 401 || status === 403 ? "Denied" : "Failed"), "error");
});
for (const name of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => isQuiet(event) || notify(text("Lost"), "error"));
}

/* Relative times -------------------------------------------------------------------------------- */
const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { numeric: "auto", style: "short" });
function showTimes(root = document) {
  for (const element of root.querySelectorAll?.("time[data-relative]") ?? []) {
    const seconds = (Date.parse(element.dateTime) - Date.now()) / 1000;
    if (Number.isNaN(seconds)) continue;
    element.title ||= element.textContent.trim();
    const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ["minute", 60];
    element.textContent = relative.format(Math.round(seconds / size), unit);
  }
}
showTimes();
setInterval(showTimes, 30_000);
document.addEventListener("htmx:load", (event) => showTimes(event.target));

/* Keys ------------------------------------------------------------------------------------------ */
export function isTyping(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return true;
  const target = event.target;
  return Boolean(
    target.closest?.("input:not([type=range], [type=checkbox], [type=radio], [type=button]), textarea, select, [contenteditable], dialog"),
  );
}
document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.key === "/") {
    const search = document.querySelector("[data-search-key]");
    if (!search) return;
    event.preventDefault();
    search.closest(".collapse")?.classList.add("show");
    search.focus();
    search.select();
  } else if (event.key === "?") {
    event.preventDefault();
    document.getElementById("keys")?.showModal();
  }
});

/* Clicks, questions, filters ---------------------------------------------------------------------- */
document.addEventListener("click", (event) => {
  const target = event.target;
  if (target.closest?.("[data-keys-open]")) document.getElementById("keys")?.showModal();
  const copy = target.closest?.("[data-copy]");
  if (copy) {
    const source = document.querySelector(copy.dataset.copy);
    navigator.clipboard?.writeText(source?.value ?? source?.textContent?.trim() ?? "").then(() => {
      copy.classList.add("active");
      setTimeout(() => copy.classList.remove("active"), 1500);
    });
  }
});
document.addEventListener("submit", (event) => {
  const question = event.target.dataset?.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
}, true);
document.addEventListener("change", (event) => {
  event.target.closest?.("form[data-autosubmit]")?.requestSubmit();
});
