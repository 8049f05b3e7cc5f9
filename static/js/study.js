/* The study page: after an upload the new images are shown, but a refusal stays to be read. */

document.addEventListener("upload:finished", (event) => {
  const { accepted, refused, kept, lost } = event.detail;
  if (!accepted) return;
  if (refused || kept || lost) sayNew();
  else window.location.assign(window.location.pathname);
});

// Sent by the queue, whenever that was: the person may be in the middle of something.
document.addEventListener("upload:later", sayNew);

function sayNew() {
  document.querySelector("[data-new-images]").hidden = false;
}

/* The status poll would reload the page under a half-read refusal or a half-typed report. */
document.addEventListener("htmx:beforeOnLoad", (event) => {
  if (event.detail.xhr.getResponseHeader("HX-Refresh") !== "true") return;
  const busy = document.querySelector("[data-upload-rows]")?.children.length || document.activeElement?.closest("#report-form");
  if (!busy) return;
  event.preventDefault();
  sayNew();
  document.getElementById("study-status")?.remove();
});

/* A session that ended must not take a half-written report along. */
document.addEventListener("htmx:beforeOnLoad", (event) => {
  const { xhr, elt } = event.detail;
  if (elt.id !== "report-form" || !(xhr.getResponseHeader("HX-Redirect") || xhr.status === 401 || xhr.status === 403)) return;
  event.preventDefault();
  const state = document.getElementById("report-saved");
  const words = document.createElement("span");
  words.className = "tag tone-danger";
  words.setAttribute("role", "alert");
  words.textContent = state.dataset.textSignedOut;
  state.replaceChildren(words);
});

/* What was fetched from an archive goes into the viewer's list of earlier studies, and beside the image. */
document.addEventListener("click", (event) => {
  const { compareWith, compareLabel } = event.target.closest?.("[data-compare-with]")?.dataset ?? {};
  const list = document.querySelector("[data-viewer-prior]");
  if (!compareWith || !list) return;
  if (![...list.options].some((option) => option.value === compareWith)) list.add(new Option(compareLabel, compareWith));
  list.value = compareWith;
  list.dispatchEvent(new Event("input", { bubbles: true }));
  list.closest("[data-viewer]").scrollIntoView({ block: "nearest" });
});

/* Asked from the viewer's tools: the answer is further down. */
document.addEventListener("htmx:afterSwap", (event) => {
  const found = event.detail.target;
  if (found.id !== "archive-priors") return;
  found.scrollIntoView({ block: "nearest" });
  found.focus({ preventScroll: true });
});
