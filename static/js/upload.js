/* Uploads files one by one, at most three at a time. Markup and answers: templates/diagnosis/_upload.html.

   A row is waiting → sending → checking → accepted | existing | refused | kept | lost. Without connection, signed out or
   with a busy server a file is "kept" on this device (queue.js), which sends it, even after the page was closed. Where
   nothing can be kept it is "lost": the page holds it and offers "Try again", also when the browser is back online.
   One file's failure touches no other. Leaving the page while files are on their way asks first.
   The server recognises bytes that it has, so that trying again never makes a second image. */

import { keep } from "./queue.js";
import { offerLook } from "./row-look.js";

const MOST_AT_ONCE = 3;
const SHOWABLE = /^image\/(png|jpeg|webp|gif|bmp|avif)$/;
const DONE = new Set(["accepted", "existing", "refused"]);
const RESTS = new Set([...DONE, "kept", "lost"]);

function readable(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
  const number = new Intl.NumberFormat(document.documentElement.lang || "en", { maximumFractionDigits: power ? 1 : 0 });
  return `${number.format(bytes / 1000 ** power)} ${units[power]}`;
}

class Item {
  constructor(file, element, fields) {
    this.file = file;
    this.fields = fields;
    this.element = element;
    this.state = "waiting";
  }
}

export class Upload {
  constructor(form) {
    this.form = form;
    this.items = [];
    this.rows = form.querySelector("[data-upload-rows]");
    this.template = form.querySelector("[data-upload-row]");
    this.drop = form.querySelector("[data-upload-drop]");
    this.#listen();
  }

  /** Adds files to the queue and starts what may start; `fields` travel with each of them. */
  add(files, fields = {}) {
    for (const file of files) this.#addRow(file, fields);
    this.#next();
  }

  isBusy() {
    return this.items.some((item) => !RESTS.has(item.state));
  }

  #addRow(file, fields) {
    const element = this.template.content.firstElementChild.cloneNode(true);
    const item = new Item(file, element, fields);
    const name = element.querySelector(".name");
    name.textContent = file.name;
    name.title = file.name;
    const size = document.createElement("span");
    size.className = "size";
    size.textContent = readable(file.size);
    name.append(size);
    this.#addThumbnail(item);
    element.querySelector("[data-upload-retry]").addEventListener("click", () => this.#again([item]));
    element.querySelector("[data-upload-remove]").addEventListener("click", () => this.#remove(item));
    this.items.push(item);
    this.rows.append(element);
    this.#set(item, "waiting");
  }

  #addThumbnail(item) {
    if (!SHOWABLE.test(item.file.type)) return;
    const image = new Image();
    const address = URL.createObjectURL(item.file);
    const free = () => URL.revokeObjectURL(address);
    image.className = "thumb";
    image.alt = "";
    image.onload = () => {
      free();
      item.element.querySelector(".no-thumb")?.replaceWith(image);
    };
    image.onerror = free;
    image.src = address;
  }

  /* States -------------------------------------------------------------------------------------- */
  #set(item, state, { message, url, linkText } = {}) {
    item.state = state;
    const texts = this.form.dataset;
    const name = `text${state[0].toUpperCase()}${state.slice(1)}`;
    item.element.className = `upload-row is-${state}`;
    if (state !== "kept") item.element.querySelector("[data-look]")?.remove(); // the real result is on its way
    item.element.querySelector(".words").textContent = message || texts[name] || "";
    if (url && new URL(url, location.href).origin === location.origin) {
      const link = document.createElement("a");
      link.href = url;
      link.textContent = linkText || texts.textShow;
      item.element.querySelector(".words").append(" ", link);
    }
    const progress = item.element.querySelector("progress");
    progress.hidden = RESTS.has(state);
    if (state === "checking") progress.removeAttribute("value");
    else if (state === "waiting") progress.value = 0;
    item.element.querySelector("[data-upload-retry]").hidden = state !== "lost";
    item.element.querySelector("[data-upload-remove]").hidden = state === "checking" || state === "kept";
    this.#showTotal();
  }

  #showTotal() {
    const total = this.form.querySelector("[data-upload-total]");
    const done = this.items.filter((item) => DONE.has(item.state)).length;
    total.hidden = this.items.length < 2;
    total.querySelector("[data-upload-total-text]").textContent = this.form.dataset.textTotal
      .replace("{done}", done)
      .replace("{all}", this.items.length);
    const lost = this.items.filter((item) => item.state === "lost").length;
    total.querySelector("[data-upload-retry-all]").hidden = lost < 2;
  }

  #again(items) {
    for (const item of items) if (item.state === "lost") this.#set(item, "waiting");
    this.#next();
  }

  #remove(item) {
    item.request?.abort();
    this.items = this.items.filter((other) => other !== item);
    item.element.remove();
    this.#showTotal();
    this.#next();
  }

  /* Sending ------------------------------------------------------------------------------------- */
  #next() {
    const running = this.items.filter((item) => item.state === "sending" || item.state === "checking").length;
    const waiting = this.items.filter((item) => item.state === "waiting");
    for (const item of waiting.slice(0, Math.max(0, MOST_AT_ONCE - running))) this.#send(item);
  }

  #send(item) {
    const request = new XMLHttpRequest();
    item.request = request;
    item.parts = this.form.dataset.uploadParts;
    this.#set(item, "sending");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) item.element.querySelector("progress").value = event.loaded / event.total;
    });
    request.upload.addEventListener("load", () => item.state === "sending" && this.#set(item, "checking"));
    request.addEventListener("load", () => this.#answered(item, request));
    request.addEventListener("error", () => this.#lost(item));
    request.addEventListener("timeout", () => this.#lost(item));
    request.open("POST", this.form.action);
    request.timeout = 10 * 60 * 1000;
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-Requested-With", "XMLHttpRequest");
    request.setRequestHeader("X-CSRFToken", this.form.elements.csrfmiddlewaretoken?.value ?? "");
    const body = new FormData();
    for (const [name, value] of new FormData(this.form)) {
      // Other fields of the form travel along (a hidden study id, for example); files do not.
      if (typeof value === "string" && name !== "csrfmiddlewaretoken") body.append(name, value);
    }
    for (const [name, value] of Object.entries(item.fields)) body.append(name, value);
    body.append("file", item.file, item.file.name);
    request.send(body);
  }

  #answered(item, request) {
    const texts = this.form.dataset;
    let answer = null;
    try {
      answer = JSON.parse(request.responseText);
    } catch {
      /* a page instead of an answer: told by its status below */
    }
    if (answer && DONE.has(answer.outcome)) {
      const { outcome, message, url, link_text: linkText } = answer;
      this.#settled(item, outcome, { message, url, linkText }, answer);
    } else if (request.status === 413) {
      this.#settled(item, "refused", { message: texts.textLarge });
    } else if ([401, 403].includes(request.status) || new URL(request.responseURL || location.href).pathname.includes("/login")) {
      this.#lost(item, { message: texts.textDenied });
    } else if (request.status >= 400 && request.status < 500 && request.status !== 429 && request.status !== 408) {
      this.#settled(item, "refused", { message: answer?.detail });
    } else {
      this.#lost(item, { message: texts.textBusy });
    }
  }

  async #lost(item, words = {}) {
    const { id, code } = await keep(item.file, { endpoint: item.parts, fields: item.fields });
    item.queued = id;
    if (id) {
      this.#settled(item, "kept");
      offerLook(item.file, item.element.querySelector(".outcome"));
    } else {
      this.#settled(item, "lost", code === "full" ? { message: this.form.dataset.textFull } : words);
    }
  }

  /* The queue has sent a file, or the person has taken it out there. */
  #sentLater({ id, endpoint, outcome, message }) {
    const item = this.items.find(({ queued }) => queued && queued === id);
    if (item && DONE.has(outcome)) this.#set(item, outcome, { message });
    else if (item) this.#remove(item);
    if (endpoint && endpoint === this.form.dataset.uploadParts && outcome === "accepted") {
      this.form.dispatchEvent(new CustomEvent("upload:later", { bubbles: true }));
    }
  }

  #settled(item, state, words = {}, answer = undefined) {
    item.request = null;
    this.#set(item, state, words);
    const detail = answer ?? { outcome: state };
    this.form.dispatchEvent(new CustomEvent("upload:file", { bubbles: true, detail }));
    this.#next();
    if (!this.isBusy()) this.#finished();
  }

  #finished() {
    const detail = { accepted: 0, existing: 0, refused: 0, kept: 0, lost: 0 };
    for (const item of this.items) detail[item.state] += 1;
    this.form.dispatchEvent(new CustomEvent("upload:finished", { bubbles: true, detail }));
  }

  /* Hands --------------------------------------------------------------------------------------- */
  #listen() {
    this.form.addEventListener("submit", (event) => event.preventDefault());
    for (const input of this.form.querySelectorAll("[data-upload-input]")) {
      const take = () => {
        this.add([...input.files]);
        input.value = ""; // the same file may be chosen again
      };
      input.addEventListener("change", take);
      if (input.files.length) take(); // chosen before this script had loaded
    }
    this.form.querySelector("[data-upload-retry-all]").addEventListener("click", () => this.#again(this.items));
    document.addEventListener("queue:done", ({ detail }) => this.form.isConnected && this.#sentLater(detail));
    addEventListener("online", () => this.#again(this.items));
    addEventListener("beforeunload", (event) => this.form.isConnected && this.isBusy() && event.preventDefault());
    if (!this.drop) return;
    for (const name of ["dragenter", "dragover"]) {
      this.drop.addEventListener(name, (event) => {
        event.preventDefault();
        this.drop.classList.add("is-over");
      });
    }
    this.drop.addEventListener("dragleave", () => this.drop.classList.remove("is-over"));
    this.drop.addEventListener("drop", (event) => {
      event.preventDefault();
      this.drop.classList.remove("is-over");
      this.add([...event.dataTransfer.files]);
    });
  }
}

function start(root) {
  const found = [...(root.querySelectorAll?.("[data-upload]") ?? [])];
  if (root.matches?.("[data-upload]")) found.push(root);
  for (const form of found) form.upload ??= new Upload(form);
}

start(document);
document.addEventListener("htmx:load", (event) => start(event.target));
// A file dropped beside the zone must not replace the page.
for (const name of ["dragover", "drop"]) {
  document.addEventListener(name, (event) => event.dataTransfer?.types?.includes("Files") && event.preventDefault());
}
