/* The list of findings beside the image. Markup: templates/diagnosis/_findings_panel.html.

   htmx swaps the list after each decision; this tells the viewer, keeps the selection, and gives the keys:
   a accept, r reject (then 1 to 6), e describe, m move, u take back, d draw a new one, j and k next and previous.
   Events on the document, boxes in pixels of the image:
   - says  fs:findings-changed {imageId, findings}, fs:edit-mode {mode: "add"|"move"|null, findingId, imageId}
   - both  fs:finding-selected {findingId, imageId}
   - hears fs:box-edited {findingId|null, imageId, box}: saved here. */

import { isTyping } from "./app.js";

const panel = () => document.querySelector("[data-findings]");
const rows = () => [...(panel()?.querySelectorAll("[data-finding]") ?? [])];
const row = (id) => rows().find((each) => each.dataset.finding === String(id));
const shownImage = () => document.querySelector("[data-viewer]")?.dataset.imageId ?? "";
const tell = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));

let selected = null;
let telling = false;

function publish() {
  const told = panel()?.dataset.told ?? "{}"; // no script element: htmx takes those out
  for (const [imageId, findings] of Object.entries(JSON.parse(told))) {
    tell("fs:findings-changed", { imageId, findings });
  }
}

function mark() {
  for (const each of rows()) each.classList.toggle("is-selected", each.dataset.finding === selected);
}

/** Selects one finding; `say` also tells the viewer, and opens its image when another one is shown. */
function select(id, { say = true } = {}) {
  selected = id;
  mark();
  const chosen = row(id);
  if (!chosen) return;
  chosen.scrollIntoView({ block: "nearest" });
  if (!say) return;
  telling = true;
  tell("fs:finding-selected", { findingId: id, imageId: chosen.dataset.image });
  telling = false;
}

function show(id) {
  const image = row(id)?.dataset.image;
  select(id);
  if (image && image !== shownImage()) document.querySelector(`.views a[href="?image=${image}"]`)?.click();
}

function step(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((each) => each.dataset.finding === selected);
  show(all[(at + by + all.length) % all.length].dataset.finding);
}

function open(finding, what) {
  for (const form of panel().querySelectorAll(".finding-more")) {
    const wanted = form.id === `${what}-${finding.dataset.finding}` && form.hidden;
    form.hidden = !wanted;
    panel().querySelector(`[aria-controls="${form.id}"]`)?.setAttribute("aria-expanded", String(wanted));
    if (wanted) form.querySelector("select, .finding-reasons button")?.focus();
  }
}

function edit(mode, finding = null) {
  if (panel()?.dataset.open !== "true") return;
  const hint = panel().querySelector("[data-finding-hint]");
  hint.hidden = mode === null;
  hint.textContent = mode === null ? "" : panel().dataset.textDraw;
  tell("fs:edit-mode", { mode, findingId: finding?.dataset.finding ?? null, imageId: finding?.dataset.image ?? shownImage() });
}

/* The viewer's side ------------------------------------------------------------------------------- */
document.addEventListener("fs:finding-selected", ({ detail }) => {
  if (!telling) select(detail.findingId == null ? null : String(detail.findingId), { say: false });
});
document.addEventListener("fs:box-edited", ({ detail }) => {
  const place = panel();
  const finding = detail.findingId == null ? null : row(detail.findingId);
  if (!place || (detail.findingId != null && !finding)) return;
  const { x, y, width, height } = detail.box;
  window.htmx.ajax("POST", finding ? finding.dataset.changeUrl : place.dataset.addUrl, {
    source: "#findings-panel",
    target: "#findings-panel",
    swap: "innerHTML",
    values: { x, y, width, height, ...(finding ? { revision: finding.dataset.revision } : { image: detail.imageId }) },
  });
});
document.addEventListener("viewer:ready", publish);

/* The list's side --------------------------------------------------------------------------------- */
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("#findings-panel button");
  const finding = button?.closest("[data-finding]");
  if (!button) return;
  if (button.matches("[data-finding-draw]")) edit("add");
  else if (button.matches("[data-finding-move]")) edit("move", finding);
  else if (button.matches("[data-finding-select]")) show(finding.dataset.finding);
  else if (button.dataset.findingOpen) {
    select(finding.dataset.finding);
    open(finding, button.dataset.findingOpen);
  }
});

/* What the report form has read, so that its writer's own decision does not make it stale. */
document.addEventListener("htmx:configRequest", (event) => {
  const basis = document.getElementById("id_basis")?.value;
  if (basis && event.target.closest?.("#findings-panel")) event.detail.parameters.basis = basis;
});

/* Of two answers that overtook each other the older one is not shown. */
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== "findings-panel") return;
  const answer = Number(/data-decisions="(\d+)"/.exec(event.detail.serverResponse)?.[1] ?? 0);
  if (answer < Number(panel()?.dataset.decisions ?? 0)) event.detail.shouldSwap = false;
});

let wasNext = null; // what to select when the list comes back
document.addEventListener("htmx:beforeRequest", (event) => {
  const finding = event.target.closest?.("[data-finding]");
  const proposed = rows().filter((each) => each.dataset.state === "proposed" && each !== finding);
  wasNext = finding && /accept|reject/.test(event.target.getAttribute("hx-post") ?? "") ? proposed[0]?.dataset.finding : selected;
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "findings-panel") return;
  const known = new Set(rows().map((each) => each.dataset.finding));
  publish();
  select(known.has(wasNext) ? wasNext : known.has(selected) ? selected : null);
  (row(selected) ?? panel()).focus({ preventScroll: true });
});

const KEYS = { d: () => edit("add"), j: () => step(1), k: () => step(-1) };
document.addEventListener("keydown", (event) => {
  if (!panel() || isTyping(event)) return;
  const chosen = row(selected) ?? rows().find((each) => each.dataset.state === "proposed") ?? rows()[0];
  const reason = panel().querySelector(`form:not([hidden]) [data-digit="${event.key}"]`);
  if (reason) reason.click();
  else if (event.key === "Escape") for (const form of panel().querySelectorAll(".finding-more")) form.hidden = true;
  else if (KEYS[event.key]) KEYS[event.key]();
  else if (event.key === "m" && chosen) edit("move", chosen);
  else if (/^[areu]$/.test(event.key) && chosen?.querySelector(`[data-key="${event.key}"]`)) {
    select(chosen.dataset.finding);
    chosen.querySelector(`[data-key="${event.key}"]`).click();
  } else return;
  event.preventDefault();
});

publish();
