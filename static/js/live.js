/* The page of the live view: camera or file in, boxes and words out. Markup: templates/diagnosis/live.html.

   setup (no model yet) → idle → live ⇄ frozen; a chosen picture is frozen too. Only a frozen picture can be sent, by
   the ordinary upload, and what is sent is what was judged: the frame in full resolution, not the smaller live one. */

import { cameras, openCamera } from "./camera.js";
import { FirstLookError, firstLook, firstLookFetch, firstLookPixels, firstLookState } from "./first-look.js";

const LIVE_SIDE = 1280; // more pixels only cost time: the model sees 384
const LABEL_PX = 15;
const RECHECK_MS = 10 * 60 * 1000;
const SETUP_CODES = new Set(["missing", "outdated", "insecure", "browser", "no_model", "reads_first", "other_preprocessing",
  "signed_out", "unconfirmed", "lost", "altered", "model_unusable"]);
const SVG = "http://www.w3.org/2000/svg";

const root = document.getElementById("live");
const part = (name) => root.querySelector(`[data-live-${name}]`);
const texts = root.dataset;
const reasons = JSON.parse(document.getElementById("live-reasons").textContent);
const number = (value, digits = 0) =>
  new Intl.NumberFormat(document.documentElement.lang || "en", { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const share = (value) => new Intl.NumberFormat(document.documentElement.lang || "en", { style: "percent" }).format(value);
const megabytes = (bytes) => number(bytes / 1e6, 1);

const video = part("video");
const still = part("still");
const work = document.createElement("canvas");
let camera = null;
let mode = "setup";
let frozen = null; // the File that can be sent
let run = 0; // counts starts: an answer of an earlier one is thrown away

/* What is shown ------------------------------------------------------------------------------------- */
function show(next) {
  mode = next;
  const isReady = mode !== "setup";
  root.dataset.mode = mode;
  part("start").hidden = camera !== null;
  part("start").disabled = !isReady;
  part("file").disabled = !isReady;
  part("freeze").hidden = mode !== "live";
  part("resume").hidden = mode !== "frozen" || camera === null;
  part("stop").hidden = camera === null;
  video.hidden = mode !== "live";
  still.hidden = mode !== "frozen";
  part("empty").hidden = mode === "live" || mode === "frozen";
  part("badge").hidden = !part("empty").hidden;
  if (part("send")) part("send").hidden = mode !== "frozen" || frozen === null;
  if (mode === "idle" || mode === "setup") clear();
}

function clear() {
  part("marks").replaceChildren();
  part("answer").hidden = true;
  part("short").textContent = "";
  part("speed").textContent = "";
}

function setUp({ state, code, version, bytes }) {
  const isReady = state === "ready";
  part("setup").hidden = isReady;
  for (const line of root.querySelectorAll("[data-live-code]")) line.hidden = line.dataset.liveCode !== (code || state);
  part("fetch").hidden = isReady || !bytes;
  part("size").textContent = bytes ? `(${megabytes(bytes)} MB)` : "";
  part("model").textContent = version;
  if (!isReady) stop("setup");
  else if (mode === "setup") show("idle");
}

function problem(code) {
  for (const line of root.querySelectorAll("[data-live-problem]")) line.hidden = line.dataset.liveProblem !== code;
}

/** A refused picture is told at the tools; a model that cannot be used leads back to the setup. */
function failed(error) {
  if (!error.code) throw error;
  if (error instanceof FirstLookError && SETUP_CODES.has(error.code)) {
    firstLookState().then((now) => setUp(now.state === "ready" ? { ...now, state: "none", code: error.code } : now));
  } else {
    problem(error.code);
  }
}

function tell(answer) {
  const { verdict, probability, boxes } = answer;
  part("answer").hidden = false;
  const words = root.querySelector(`[data-live-verdict-of="${verdict}"]`).content.cloneNode(true);
  root.dataset.verdict = verdict;
  const isJudged = verdict !== "cannot_assess";
  const percent = isJudged ? share(probability) : "";
  part("short").textContent = [words.textContent.trim(), percent].filter(Boolean).join(" · ");
  part("verdict").replaceChildren(words);
  part("words").textContent = isJudged
    ? filled(texts.textProbability, { percent })
    : answer.reasons.map((code) => reasons[code] ?? code).join(" ");
  const places = [texts.textPlacesNone, texts.textPlacesOne][boxes.length] ?? texts.textPlacesMany;
  part("places").textContent = isJudged ? filled(places, { count: boxes.length }) : "";
  part("model").textContent = answer.version;
  mark(answer);
  root.dispatchEvent(new CustomEvent("live:answer", { bubbles: true, detail: answer }));
}

function mark({ boxes, width, height }) {
  const marks = part("marks");
  marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const size = LABEL_PX * Math.max(width / marks.clientWidth, height / marks.clientHeight); // as large on the screen at any size
  marks.replaceChildren(...boxes.map((box, index) => {
    const group = element("g", { class: box.certainty });
    for (const name of ["halo", "line"]) {
      group.append(element("rect", { class: name, x: box.x, y: box.y, width: box.width, height: box.height }));
    }
    // Neighbours' numbers would lie on each other: every second one stands below its box.
    const y = index % 2 === 0 ? Math.max(size, box.y - size / 3) : Math.min(height - size / 3, box.y + box.height + size);
    const label = element("text", { x: box.x, y, "font-size": size, "stroke-width": size / 6 });
    label.textContent = number(box.probability, 2);
    group.append(label);
    return group;
  }));
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/* Camera --------------------------------------------------------------------------------------------- */
async function start(deviceId = "") {
  problem("");
  part("start").disabled = true;
  try {
    setUp(await firstLookState()); // another model may be in use since the page was opened
    if (mode === "setup") return;
    camera?.stop();
    camera = await openCamera(video, { deviceId, onEnded: () => ended() });
    await offerCameras();
    live();
  } catch (error) {
    show("idle");
    failed(error);
  }
}

function ended() {
  camera = null;
  if (mode === "live") show("idle");
  else if (mode === "frozen") show("frozen");
}

async function offerCameras() {
  const all = await cameras();
  const holder = part("cameras");
  holder.hidden = all.length < 2;
  holder.querySelector("select").replaceChildren(...all.map(({ id, label }, index) =>
    new Option(label || filled(texts.textCamera, { n: index + 1 }), id, false, id === camera.deviceId)));
}

function live() {
  frozen = null;
  clear();
  show("live");
  run += 1;
  watch(run);
}

async function watch(mine) {
  let before = performance.now();
  try {
    while (mine === run && camera?.isOpen) {
      if (document.hidden) {
        await new Promise((go) => document.addEventListener("visibilitychange", go, { once: true }));
        continue;
      }
      const { width, height } = camera.frame(work, LIVE_SIDE);
      const { data } = work.getContext("2d").getImageData(0, 0, width, height);
      const answer = await firstLookPixels({ rgba: data.buffer, width, height });
      if (mine !== run) return;
      const now = performance.now();
      tell(answer);
      part("speed").textContent = filled(texts.textSpeed, { ms: number(answer.ms), rate: number(1000 / (now - before), 1) });
      before = now;
    }
  } catch (error) {
    failed(error);
  }
}

function stop(next = "idle") {
  run += 1;
  frozen = null;
  const open = camera;
  camera = null;
  open?.stop();
  show(next);
}

/* A frozen picture ------------------------------------------------------------------------------------ */
async function freeze() {
  run += 1;
  camera.frame(still);
  const blob = await new Promise((go) => still.toBlob(go, "image/jpeg", 0.95));
  await judgeStill(new File([blob], "live-view.jpg", { type: blob.type }));
}

async function choose(file) {
  problem("");
  run += 1;
  try {
    const bitmap = await createImageBitmap(file);
    still.width = bitmap.width;
    still.height = bitmap.height;
    still.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
  } catch {
    show(camera ? "frozen" : "idle");
    problem("unreadable");
    return;
  }
  await judgeStill(file);
}

async function judgeStill(file) {
  const mine = run;
  frozen = file;
  clear();
  show("frozen");
  offerSending();
  try {
    const answer = await firstLook(file);
    if (mine !== run) return;
    tell(answer);
    part("speed").textContent = filled(texts.textTime, { ms: number(answer.ms) });
  } catch (error) {
    failed(error);
  }
}

const chosenTarget = () => root.querySelector("input[name=target]:checked");

function offerSending() {
  if (part("submit")) part("submit").disabled = frozen === null || !chosenTarget();
}

function send() {
  const form = document.getElementById("upload");
  form.action = chosenTarget().value;
  form.dataset.uploadParts = chosenTarget().dataset.parts;
  form.upload.add([frozen]);
  part("submit").disabled = true; // once is enough
}

/* Hands ----------------------------------------------------------------------------------------------- */
part("start").addEventListener("click", () => start());
part("freeze").addEventListener("click", freeze);
part("resume").addEventListener("click", live);
part("stop").addEventListener("click", () => stop());
part("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (file) choose(file);
});
part("cameras").addEventListener("change", ({ target }) => start(target.value));
part("send")?.addEventListener("change", offerSending);
part("submit")?.addEventListener("click", send);
part("fetch").addEventListener("click", async () => {
  const progress = part("progress");
  part("fetch").hidden = true;
  progress.hidden = false;
  try {
    const state = await firstLookFetch((loaded, all) => {
      progress.querySelector("progress").value = loaded / all;
      part("loaded").textContent = filled(texts.textSize, { loaded: megabytes(loaded), all: megabytes(all) });
    });
    setUp(state);
  } catch (error) {
    failed(error);
  } finally {
    progress.hidden = true;
  }
});

async function look() {
  setUp(await firstLookState());
}
let looked = performance.now();
document.addEventListener("visibilitychange", () => {
  if (document.hidden || performance.now() - looked < RECHECK_MS) return;
  looked = performance.now();
  look();
});
look();
