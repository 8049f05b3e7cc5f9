/* Writing the report: macros, the normal study, two texts at once. Markup: templates/diagnosis/_report_form.html.

   htmx saves the form while it is typed in (hx-trigger "save" for changes that this makes). When somebody else saved
   meanwhile, the answer brings #report-conflict with the other text; the server keeps both until they are dropped. */

import { isTyping } from "./app.js";

const form = () => document.getElementById("report-form");
const section = (name) => form()?.elements.namedItem(name);

/** Replaces the ".name" before the caret; returns whether there was one. */
function expandMacro(area) {
  const before = area.value.slice(0, area.selectionStart);
  const typed = /(?:^|\s)\.([\p{L}\p{N}_-]{1,20})$/u.exec(before);
  const text = typed && JSON.parse(form().dataset.macros || "{}")[typed[1].toLowerCase()];
  if (text === undefined || text === null) return false;
  area.setRangeText(text, area.selectionStart - typed[1].length - 1, area.selectionStart, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Tab" && !event.shiftKey && event.target.matches?.("#report-form textarea")) {
    if (expandMacro(event.target)) event.preventDefault();
  } else if (event.key === "w" && !isTyping(event) && section("findings")) {
    event.preventDefault();
    section("findings").focus();
  }
});

function save() {
  window.htmx.trigger(form(), "save");
}

/* The other text becomes the beginning, the end, or all of ours; then ours is saved on top of what was read now. */
function settle(conflict, choice) {
  for (const other of conflict.querySelectorAll("[data-theirs]")) {
    const area = section(other.dataset.theirs);
    const theirs = other.textContent;
    if (choice === "theirs") area.value = theirs;
    else if (choice === "both" && theirs.trim() && !area.value.includes(theirs.trim())) {
      area.value = [theirs.trim(), area.value.trim()].filter(Boolean).join("\n\n");
    }
  }
  document.getElementById("id_revision").value = conflict.dataset.revision;
  const note = document.createElement("input"); // goes with the notice when the text is saved
  Object.assign(note, { type: "hidden", name: "overwrite", value: "1" });
  conflict.append(note);
  save();
}

document.addEventListener("click", (event) => {
  const choice = event.target.closest?.("[data-conflict]");
  if (choice) settle(choice.closest("#report-conflict"), choice.dataset.conflict);
  const normal = event.target.closest?.("[data-report-normal]");
  if (!normal) return;
  const texts = JSON.parse(form().dataset.normal);
  const written = Object.keys(texts).some((name) => section(name).value.trim());
  if (written && !window.confirm(normal.dataset.question)) return;
  for (const [name, text] of Object.entries(texts)) section(name).value = text;
  save();
});
