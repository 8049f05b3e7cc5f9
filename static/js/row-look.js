/* A first look at a file that waits on this device, by the model in this browser: a preview beside the row, kept nowhere.
   Markup and words: templates/diagnosis/_row_look.html; a page without it offers none. */

const words = document.querySelector("[data-row-look]");
const locale = document.documentElement.lang || "en";
const share = new Intl.NumberFormat(locale, { style: "percent" });
const LOOKABLE = /^image\/(png|jpeg)$/;
let module = null;

const model = () => (module ??= import("./first-look.js"));

/* Where the model is on this device already, it must be running before the connection is lost. */
async function warm() {
  if (words && "caches" in window && (await caches.has("first-look-1"))) await (await model()).firstLookState();
}
warm();

/** Offers the look in a row; `place` is where button and answer go. */
export function offerLook(file, place) {
  if (!words || !LOOKABLE.test(file.type) || place.querySelector("[data-look]")) return;
  const offer = words.content.querySelector("[data-look]").cloneNode(true);
  offer.querySelector("button").addEventListener("click", ({ currentTarget }) => look(file, offer, currentTarget));
  place.append(offer);
}

async function look(file, offer, button) {
  button.disabled = true;
  say(offer, "working");
  try {
    const { firstLook, firstLookState } = await model();
    const { state, code } = await firstLookState();
    if (state === "ready") tell(offer, await firstLook(file));
    else say(offer, code || state);
  } catch (error) {
    say(offer, error.code ?? "failed");
    if (!error.code && !(error instanceof TypeError)) throw error; // TypeError: the code could not be loaded
  } finally {
    button.disabled = false;
  }
}

function tell(offer, { verdict, probability, boxes }) {
  const shown = words.content.querySelector(`[data-look-verdict="${verdict}"]`).cloneNode(true);
  if (probability !== null) shown.append(` ${share.format(probability)}`);
  const places = words.dataset.textPlaces.replace("{n}", boxes.length);
  offer.querySelector("[data-look-answer]").replaceChildren(shown, ...(boxes.length ? [` · ${places}`] : []));
  offer.dataset.verdict = verdict;
  say(offer, "preview");
}

function say(offer, code) {
  const texts = words.content.querySelectorAll("[data-look-code]");
  const found = [...texts].find(({ dataset }) => dataset.lookCode === code) ?? [...texts].find(({ dataset }) => dataset.lookCode === "failed");
  offer.querySelector("[data-look-words]").replaceChildren(...found.cloneNode(true).childNodes);
  if (code !== "preview") offer.querySelector("[data-look-answer]").replaceChildren();
}
