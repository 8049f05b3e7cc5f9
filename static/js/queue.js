/* Sends the files that wait on this device, one by one, in parts that go on where they broke off (tus). What is shown:
   queue-note.js; storage: queue-store.js; what a page tells: templates/diagnosis/_upload_queue.html.

   await keep(file, { endpoint, fields });   // → { id }, or { code: "full" | "none" } where nothing can be kept
   Event on document: "queue:done", detail = { id, endpoint, outcome: "accepted" | "existing" | "refused", message }
   Event on document: "queue:changed", when something is to be shown anew

   Before anything is sent the server is asked who is signed in now. Another person's files stay locked and unsent. */

import { openStore, privateKey } from "./queue-store.js";

const PART = 1024 * 1024;
const AGAIN_MS = 15_000;
const WAITS = new Set(["offset_differs", "upload_busy", "upload_incomplete", "too_many_uploads"]);
const told = document.getElementById("queue-identity");
const identity = told && JSON.parse(told.textContent);
const others = new BroadcastChannel("upload-queue"); // the person's other pages
let timer = null;

export const queue = { identity, store: null, key: null, csrf: "", trouble: "", sent: new Map(), names: new Map() };

async function start() {
  queue.store = await openStore();
  await queue.store?.arrive(identity).catch((error) => {
    if (!(error instanceof DOMException)) throw error; // a full disk: only the page without a connection misses it
  });
  others.onmessage = ({ data }) => emit(data, false);
  addEventListener("online", drain);
  addEventListener("pageshow", ({ persisted }) => persisted && drain());
  emit({ type: "queue:changed" }, false);
  drain();
}

function emit({ type, detail }, everywhere = true) {
  document.dispatchEvent(new CustomEvent(type, { detail }));
  if (everywhere) others.postMessage({ type, detail });
}

const changed = () => emit({ type: "queue:changed" });

export const ready = identity ? start() : Promise.resolve();

export async function keep(file, { endpoint, fields = {} }) {
  await ready;
  if (!queue.store || !endpoint) return { code: "none" };
  try {
    const about = { name: file.name, type: file.type, fields, endpoint };
    const { id } = await queue.store.add(identity, about, file);
    navigator.storage?.persist?.(); // the browser may refuse; then it can clear the file when its disk is full
    queue.names.set(id, file.name);
    changed();
    later();
    return { id };
  } catch (error) {
    if (error.name === "QuotaExceededError") return { code: "full" };
    if (error instanceof DOMException) return { code: "none" };
    throw error;
  }
}

/** Ask the server who is signed in now; the person's own key opens what waits. Returns whether they are. */
async function unlocked() {
  queue.key = null;
  try {
    const answer = await fetch(identity.key_url, { cache: "no-store", redirect: "manual", headers: { "X-Background": "true" } });
    if (answer.type === "opaqueredirect" || [401, 403].includes(answer.status)) return trouble("signedOut");
    if (!answer.ok) return trouble("unreachable");
    const now = await answer.json();
    if (now.person !== identity.person || now.clinic !== identity.clinic) return trouble("other");
    queue.key = await privateKey(now.key);
    queue.csrf = now.csrf;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return trouble("unreachable"); // fetch had no answer
  }
  return trouble("");
}

function trouble(code) {
  queue.trouble = code;
  return code === "";
}

/** Sends what waits; only one page of this browser does so at a time. */
export async function drain() {
  await ready;
  if (!queue.store || !(await queue.store.list(identity)).length) return;
  if (await unlocked()) {
    await navigator.locks.request("upload-queue", { ifAvailable: true }, async (lock) => lock && inTurn());
  }
  changed();
  if (["", "unreachable"].includes(queue.trouble)) later(); // else the next page that is opened goes on
}

async function inTurn() {
  changed();
  const tried = new Set();
  for (;;) {
    // What is there now: the person may have added or removed something since the last file.
    const next = (await queue.store.list(identity)).find(({ id, state }) => state === "waiting" && !tried.has(id));
    if (!next) return;
    tried.add(next.id);
    if (!(await send(next))) return;
  }
}

/* Returns whether the next file may be tried. */
async function send(record) {
  let about;
  let file;
  try {
    about = await queue.store.open(record, queue.key);
    file = await queue.store.file(record, queue.key);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    await queue.store.change(record, { state: "unreadable", body: null }); // the site has other keys now
    return true;
  }
  queue.names.set(record.id, about.name);
  queue.sent.set(record.id, 0);
  changed();
  const { status, answer } = await sent(record, about, file);
  queue.sent.delete(record.id);
  const code = answer.code ?? "";
  if (status === 200 || status === 201) {
    await queue.store.remove(record);
    finished(record, about, status === 201 ? "accepted" : "existing", "");
  } else if (status === 401 || status === 403) {
    return trouble("signedOut");
  } else if (status === 0 || status >= 500 || status === 408 || status === 429) {
    return trouble("unreachable");
  } else if ((status === 404 || status === 410) && record.url) {
    await queue.store.change(record, { url: "" }); // the server has forgotten the parts: from the beginning, next time
  } else if (status === 404) {
    await queue.store.change(record, { state: "loose" }); // the study is gone; another one can be named
  } else if (!WAITS.has(code)) {
    await queue.store.change(record, { state: "refused", message: answer.detail ?? "" });
    finished(record, about, "refused", answer.detail ?? "");
  }
  changed();
  return true;
}

/* Sends the bytes that are missing and asks for the image. */
async function sent(record, about, file) {
  try {
    const url = await parts(record, about, file);
    const response = await fetch(`${url}image/`, { method: "POST", headers: headers() });
    return { status: response.status, answer: await response.json().catch(() => ({})) };
  } catch (error) {
    const response = error.originalResponse;
    if (!response && !(error instanceof TypeError) && !error.originalRequest) throw error;
    let answer = {};
    try {
      answer = JSON.parse(response?.getBody() || "{}");
    } catch {
      /* a page of a server between us: its status says enough */
    }
    return { status: response?.getStatus() ?? 0, answer };
  }
}

const headers = () => ({ "X-CSRFToken": queue.csrf, Accept: "application/json" });

/* Resolves with the address of the upload once all bytes are there. */
async function parts(record, about, file) {
  await import("../vendor/tus/tus.min.js"); // only pages that send need it; it names itself window.tus
  return new Promise((resolve, reject) => {
    const upload = new window.tus.Upload(file, {
      endpoint: about.endpoint,
      uploadUrl: record.url || null,
      chunkSize: PART,
      retryDelays: [0, 1000, 3000],
      headers: headers(),
      metadata: about.fields,
      storeFingerprintForResuming: false, // names of files do not belong into localStorage
      onUploadUrlAvailable: () => {
        record.url = upload.url;
        return queue.store.change(record, { url: upload.url });
      },
      onProgress: (bytes, all) => {
        queue.sent.set(record.id, bytes / all);
        document.dispatchEvent(new CustomEvent("queue:progress", { detail: { id: record.id, share: bytes / all } }));
      },
      onSuccess: () => resolve(upload.url),
      onError: reject,
    });
    upload.start();
  });
}

function finished({ id }, { endpoint }, outcome, message) {
  emit({ type: "queue:done", detail: { id, endpoint, outcome, message } });
}

/** Says which study a file without one belongs to. */
export async function assign(record, endpoint) {
  const about = await queue.store.open(record, queue.key);
  await queue.store.change(record, { about: { ...about, endpoint }, state: "waiting", message: "" }, queue.key);
  changed();
  drain();
}

export async function discard(record) {
  await queue.store.remove(record);
  finished(record, {}, "removed", "");
  changed();
}

async function later() {
  clearTimeout(timer);
  const waits = (await queue.store.list(identity)).some(({ state }) => state === "waiting");
  if (waits) timer = setTimeout(drain, AGAIN_MS);
}
