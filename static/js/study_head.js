/* The head of the study page: keys to the next study, and the claim's signs of life.

   Whoever opens a study that waits and is free claims it; whoever works on the page keeps it;
   whoever leaves the page gives it back. The server decides; see diagnosis/services/claims.py. */

import { isTyping } from "./app.js";

const RENEW_MS = 60_000;
const panel = () => document.getElementById("study-claim");
let active = false;
let answered = true;

function send(values) {
  if (!answered) return;
  answered = false;
  const done = () => { answered = true; };
  window.htmx.ajax("POST", panel().dataset.claimUrl, { target: "#study-claim", swap: "outerHTML", values }).then(done, done);
}

for (const name of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"]) {
  document.addEventListener(name, () => { active = true; }, { passive: true });
}
setInterval(() => {
  if (!active || !panel()?.dataset.claimToken) return;
  active = false;
  send({ do: "renew" });
}, RENEW_MS);

function claimIfFree() {
  if (panel()?.hasAttribute("data-claim-free") && document.visibilityState === "visible") send({ do: "take" });
}
if (document.readyState === "complete") claimIfFree();
else window.addEventListener("load", claimIfFree);

window.addEventListener("pagehide", () => {
  const { claimToken, claimUrl } = panel()?.dataset ?? {};
  if (!claimToken) return;
  const headers = { ...JSON.parse(document.body.getAttribute("hx-headers") ?? "{}"), "HX-Request": "true" };
  const body = new URLSearchParams({ do: "release", token: claimToken });
  fetch(claimUrl, { method: "POST", keepalive: true, headers, body });
});

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const target = { n: "[data-study-next]", p: "[data-study-previous]", c: "#study-claim [value=take]" }[event.key];
  const element = target && document.querySelector(target);
  if (!element) return;
  event.preventDefault();
  element.click();
});

/* ?prior=STUDY: the patient page asks for two studies beside each other. The viewer's own choice of
   earlier studies does it, once the viewer is ready. */
const prior = new URLSearchParams(window.location.search).get("prior");
if (prior) {
  document.addEventListener("viewer:diagnostic", () => {
    const choice = document.querySelector("[data-viewer-prior]");
    const option = choice && [...choice.options].find((each) => each.value.includes(`/${prior}/`));
    if (!option) return;
    choice.value = option.value;
    setTimeout(() => choice.dispatchEvent(new Event("input", { bubbles: true }))); // it listens from then on
  }, { once: true });
}
