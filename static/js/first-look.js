/* One job: the model in use, run by this browser. A preview: nothing is stored, no picture leaves the device, and it is
   no result. Page config: templates/diagnosis/_first_look.html.

   import { firstLook, firstLookFetch, firstLookState } from "./first-look.js";

   await firstLookState();
       // { state: "ready" | "missing" | "outdated" | "none", code, version, bytes, offline }
       // none: no preview here, because (code) "insecure" (no https), "browser", "no_model", "reads_first",
       //       "other_preprocessing", "signed_out", or "unconfirmed" (no connection, and nobody has said for a week
       //       that the model on this device is still in use)
   await firstLookFetch((loaded, all) => …);   // the one download, after the person asked for it; then "ready"
   await firstLook(blob);                      // a PNG or JPEG file, also while the server cannot be reached
       // { verdict: "definite" | "suspicion" | "negative" | "cannot_assess", probability (null when not assessed),
       //   boxes: [{ x, y, width, height, probability, certainty }] in pixels of the picture, strongest first,
       //   reasons: [codes], width, height, ms, version: "name 1.2", modelId }
   await firstLookPixels({ rgba, width, height });   // the same for pixels of a canvas; takes the buffer over

   Errors are FirstLookError with .code: one of "none"'s codes, "missing", "outdated", "lost" (the download broke off),
   "altered" (not the file that was promised), "unreadable", "too_large", "model_unusable". Ask firstLookState() once while there is
   a connection: it starts the worker, so that firstLook() later works without one. */

import { PREPROCESSING_VERSION } from "./live-preprocessing.js";

const CACHE = "first-look-1";
const RUNTIME_VERSION = "1.30.0"; // of static/vendor/onnxruntime: another one is another download
const UNCONFIRMED_MS = 7 * 24 * 3600 * 1000;
const NEEDED = ["caches", "Worker", "WebAssembly", "OffscreenCanvas", "createImageBitmap"];

export class FirstLookError extends Error {
  constructor(code, cause) {
    super(code, { cause });
    this.code = code;
  }
}

const config = JSON.parse(document.getElementById("first-look-config").textContent);
const runtimeUrl = `${config.runtime}?v=${RUNTIME_VERSION}`;

/* Which model, and is it here? --------------------------------------------------------------------- */
export async function firstLookState() {
  try {
    const model = await described();
    const state = await kept(model);
    if (state === "ready") started();
    const bytes = model.bytes + config.runtimeBytes;
    return { state, code: "", version: nameOf(model), bytes, offline: Boolean(model.offline) };
  } catch (error) {
    if (error instanceof FirstLookError) return { state: "none", code: error.code, version: "", bytes: 0, offline: false };
    throw error;
  }
}

const nameOf = ({ name, version }) => `${name} ${version}`;

/** The description of the model in use: from the server, or the last one while there is no connection. */
async function described() {
  if (!window.isSecureContext || !crypto.subtle) throw new FirstLookError("insecure");
  if (NEEDED.some((name) => !(name in window))) throw new FirstLookError("browser");
  const cache = await caches.open(CACHE);
  const model = (await asked(cache)) ?? (await remembered(cache));
  if (!model.available) throw new FirstLookError(model.code);
  if (model.manifest.preprocessing_version !== PREPROCESSING_VERSION) throw new FirstLookError("other_preprocessing");
  return model;
}

async function asked(cache) {
  let response;
  try {
    response = await fetch(config.model, { cache: "no-store", redirect: "manual", headers: { Accept: "application/json" } });
  } catch {
    return null; // no connection
  }
  if (response.type === "opaqueredirect" || response.status === 401 || response.status === 403) {
    throw new FirstLookError("signed_out");
  }
  if (!response.ok) return null; // a server in trouble is as good as none
  const model = await response.json();
  await cache.put(config.model, new Response(JSON.stringify({ ...model, confirmed: Date.now() })));
  return model;
}

async function remembered(cache) {
  const last = await (await cache.match(config.model))?.json();
  if (!last || Date.now() - last.confirmed > UNCONFIRMED_MS) throw new FirstLookError("unconfirmed");
  return { ...last, offline: true };
}

async function kept(model) {
  const cache = await caches.open(CACHE);
  const addresses = (await cache.keys()).map(({ url }) => new URL(url).pathname + new URL(url).search);
  if (addresses.includes(model.url) && addresses.includes(runtimeUrl)) return "ready";
  return addresses.some((address) => address.endsWith(".onnx") && address !== model.url) ? "outdated" : "missing";
}

/* The one download --------------------------------------------------------------------------------- */
/** Fetches what is missing; `onProgress(loaded, all)` in bytes. Other versions' files are removed. */
export async function firstLookFetch(onProgress = () => {}) {
  const model = await described();
  if (model.offline) throw new FirstLookError("lost");
  const cache = await caches.open(CACHE);
  const wanted = [
    { url: runtimeUrl, bytes: config.runtimeBytes },
    { url: model.url, bytes: model.bytes, sha256: model.sha256 },
  ];
  const all = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  for (const file of wanted) {
    if (!(await cache.match(file.url))) {
      const data = await received(file.url, (loaded) => onProgress(before + loaded, all));
      if (file.sha256 && (await sha256Of(data)) !== file.sha256) throw new FirstLookError("altered");
      await cache.put(file.url, new Response(data, { headers: { "Content-Type": "application/octet-stream" } }));
    }
    before += file.bytes;
    onProgress(before, all);
  }
  await forgetOthers(cache, [config.model, ...wanted.map(({ url }) => url)]);
  return firstLookState();
}

async function received(url, onProgress) {
  try {
    const response = await fetch(url, { redirect: "error" });
    if (!response.ok) throw new Error(String(response.status));
    const parts = [];
    let loaded = 0;
    const reader = response.body.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      parts.push(next.value);
      loaded += next.value.length;
      onProgress(loaded);
    }
    return await new Blob(parts).arrayBuffer();
  } catch (error) {
    throw new FirstLookError("lost", error);
  }
}

async function sha256Of(data) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function forgetOthers(cache, addresses) {
  const wanted = new Set(addresses.map((address) => new URL(address, location.href).href));
  for (const request of await cache.keys()) if (!wanted.has(request.url)) await cache.delete(request);
}

/* Looking ------------------------------------------------------------------------------------------ */
export const firstLook = (blob) => look({ blob });
export const firstLookPixels = (picture) => look(picture, [picture.rgba]);

async function look(picture, transfer = []) {
  const model = await loaded();
  const answer = await say({ look: picture }, transfer);
  return { ...answer, version: nameOf(model), modelId: model.id };
}

let inWorker = null; // a promise of the model that the worker has loaded
let checked = 0;
const RECHECK_MS = 5 * 60 * 1000;

/** Loads the model in use into the worker; asks again now and then whether it is still the one. */
async function loaded() {
  if (inWorker && Date.now() - checked < RECHECK_MS) return inWorker;
  const model = await described();
  const state = await kept(model);
  if (state !== "ready") throw new FirstLookError(state);
  const before = await inWorker?.catch(() => null);
  if (before?.id !== model.id) inWorker = load(model);
  checked = Date.now();
  inWorker.catch(() => (inWorker = null));
  return inWorker;
}

async function load(model) {
  const cache = await caches.open(CACHE);
  const [wasm, weights] = await Promise.all(
    [runtimeUrl, model.url].map(async (url) => (await cache.match(url)).arrayBuffer()),
  );
  await say({ load: { wasm, model: weights, manifest: model.manifest } }, [wasm, weights]);
  return model;
}

let worker = null;
let last = 0;
const waiting = new Map();

function started() {
  if (worker) return worker;
  worker = new Worker(config.worker, { type: "module" });
  worker.addEventListener("message", ({ data: { id, answer, code, text } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (code) reject(new FirstLookError(code, text));
    else resolve(answer);
  });
  worker.addEventListener("error", (event) => {
    // It did not start, or died: the next look tries with a new one.
    for (const { reject } of waiting.values()) reject(new FirstLookError("model_unusable", event.message));
    waiting.clear();
    worker.terminate();
    worker = null;
    inWorker = null;
  });
  return worker;
}

function say(message, transfer) {
  last += 1;
  const id = last;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    started().postMessage({ id, ...message }, transfer);
  });
}
