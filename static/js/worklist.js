/* The worklist by keyboard, and selecting rows.

   j, k: next, previous row · Enter: open (the row's link has the focus) · x: select · n: show what is new */

import { isTyping } from "./app.js";

const list = document.querySelector("[data-worklist]");
const rows = () => [...document.querySelectorAll("[data-row]")];
const linkOf = (row) => row?.querySelector(".work-link");

function move(step) {
  const all = rows();
  const here = all.findIndex((row) => row.contains(document.activeElement));
  const next = all[here < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(here + step, 0), all.length - 1)];
  linkOf(next)?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function showSelected() {
  const bulk = document.querySelector("[data-bulk]");
  if (!bulk) return;
  const chosen = list.querySelectorAll("input[name=study]:checked").length;
  const words = bulk.querySelector("[data-bulk-count]");
  words.textContent = words.dataset.text.replace("{n}", chosen);
  bulk.hidden = chosen === 0;
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const row = document.activeElement?.closest?.("[data-row]");
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "x" && row) {
    const box = row.querySelector("input[name=study]");
    if (box) { box.checked = !box.checked; showSelected(); }
  } else if (event.key === "n") document.querySelector("[data-show-new]")?.click();
  else if (event.key === "Escape") document.activeElement?.blur?.();
  else return;
  event.preventDefault();
});
list?.addEventListener("change", showSelected);
list?.addEventListener("reset", () => setTimeout(showSelected));
showSelected(); // a browser keeps ticks over a reload
