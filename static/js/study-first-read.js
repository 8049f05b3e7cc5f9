/* Reading before the AI: places that are marked go with the answer. Markup: templates/diagnosis/_first_read_panel.html.
   Says fs:edit-mode and fs:findings-changed (own marks only), hears fs:box-edited; keys: d marks, 1 2 3 answer. */

import { isTyping } from "./app.js";

const form = document.getElementById("first-read");
const places = []; // {image, x, y, width, height}
const tell = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
const shownImage = () => document.querySelector("[data-viewer]")?.dataset.imageId ?? "";

function show(imageId) {
  form.elements.namedItem("places").value = JSON.stringify(places);
  form.querySelector("[data-first-read-count]").textContent = places.length ? `${form.dataset.textMarked} ${places.length}` : "";
  form.querySelector("[data-first-read-clear]").hidden = !places.length;
  const findings = places
    .filter((place) => place.image === imageId)
    .map(({ x, y, width, height }, index) => ({ id: `mark-${index}`, source: "doctor", state: "added", box: { x, y, width, height }, probability: null, certainty: "definite", label: "" }));
  tell("fs:findings-changed", { imageId, findings });
}

const mark = () => tell("fs:edit-mode", { mode: "add", findingId: null, imageId: shownImage() });
form.querySelector("[data-first-read-mark]").addEventListener("click", mark);
form.querySelector("[data-first-read-clear]").addEventListener("click", () => {
  const images = new Set(places.map((place) => place.image));
  places.length = 0;
  images.forEach(show);
});
document.addEventListener("fs:box-edited", ({ detail }) => {
  places.push({ image: String(detail.imageId), ...detail.box });
  show(String(detail.imageId));
});
document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.key === "d") mark();
  else form.querySelector(`[data-digit="${event.key}"]`)?.focus();
});
