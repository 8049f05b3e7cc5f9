/* The image viewer of the result page. Markup and data: templates/diagnosis/_viewer.html.

   This one needs nothing but an <img>: it shows the first picture at once, stays where WebGL is missing, and
   hands over to the diagnostic viewer (frontend/, built into static/viewer/) when that has loaded.
   Every [data-viewer] on the page, or brought by htmx, starts by itself; element.viewer is its Viewer.
   Boxes are given in pixels of the original image; the rendition may have any size of the same shape.
   Reader: wheel, pinch, double click and buttons zoom; drag moves; keys + - 0 arrows b h o i f [ ].
   Pages: viewer.focusMark(id), or a button with data-viewer-focus and data-viewer-target; the events of
   viewer-findings.js and viewer-overlay.js.
   Events on the element: "viewer:ready", "viewer:failed". */

import { isTyping, notify } from "./app.js";
import { Findings } from "./viewer-findings.js";
import { Heatmap, loadImage, pictureOf } from "./viewer-heatmap.js";
import { useHands } from "./viewer-hands.js";
import { Overlay } from "./viewer-overlay.js";

const LARGEST = 12; // times one pixel of the original
const STEP = 1.3;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Viewer {
  constructor(root) {
    this.root = root;
    this.part = (name) => root.querySelector(`[data-viewer-${name}]`);
    this.stage = this.part("stage");
    this.layer = this.part("layer");
    this.image = this.part("image");
    this.canvas = this.part("heatmap");
    this.svg = this.part("marks");
    this.imageId = root.dataset.imageId || root.id;
    this.marks = JSON.parse(document.getElementById(root.dataset.marks)?.textContent || "{}");
    this.frames = Math.max(1, Number(root.dataset.frames || 1));
    this.view = { scale: 1, x: 0, y: 0 };
    this.frame = 0;
    this.isFitted = true;
    this.heatmapOn = false;
    this.findings = new Findings({ aiHidden: root.dataset.aiHidden === "true" });
    this.overlay = new Overlay(this, this.svg, this.findings);
    this.heatmap = new Heatmap(this.canvas);
    this.findings.addEventListener("change", () => this.#aiChanged());
    this.findings.addEventListener("reveal", () => this.#reveal());
    this.findings.set(this.imageId, this.marks.boxes ?? []);
    this.kit = { Overlay, Heatmap, notify, isTyping }; // for the diagnostic viewer, which is another bundle
    useHands(this);
    this.load(root.dataset.image);
  }

  /** Hands over to the diagnostic viewer when there is one and the browser can run it. */
  async #handOver() {
    const address = this.root.dataset.diagnostic;
    if (!address) return;
    const canRun = Boolean(document.createElement("canvas").getContext("webgl2"));
    this.part("plain-note")?.toggleAttribute("hidden", canRun);
    if (!canRun) return;
    try {
      const { mount } = await import(address);
      this.diagnostic = await mount(this);
    } catch (error) {
      this.root.classList.remove("is-diagnostic");
      this.overlay.pane = this;
      this.part("plain-note")?.removeAttribute("hidden");
      console.warn("The plain viewer stays:", error);
    }
  }

  /* Loading ------------------------------------------------------------------------------------- */
  /** Shows the picture at the address; a quiet load (the sharper one) keeps the old picture on failure. */
  async load(url, { quiet = false } = {}) {
    this.wanted = url;
    this.part("failed").hidden = true;
    this.part("loading").hidden = this.isReady === true;
    let loaded;
    try {
      // The page's own <img> was asked for before this script had come.
      const isThere = !this.isReady && this.image.getAttribute("src") === url;
      loaded = await (isThere ? pictureOf(this.image) : loadImage(url));
    } catch {
      loaded = null;
      if (!this.isReady) this.image.removeAttribute("src"); // the next attempt is a new request
    }
    if (this.wanted !== url) return; // another frame was asked for meanwhile
    this.part("loading").hidden = true;
    if (loaded) this.#show(loaded);
    else if (!quiet) {
      this.part("failed").hidden = false;
      this.root.dispatchEvent(new CustomEvent("viewer:failed", { bubbles: true }));
    }
  }

  #show(loaded) {
    // The loaded element itself goes in: a second request would be a second audited reading.
    loaded.alt = this.image.alt;
    loaded.draggable = false;
    loaded.dataset.viewerImage = "";
    loaded.style.filter = this.image.style.filter;
    if (loaded !== this.image) this.image.replaceWith(loaded);
    this.image = loaded;
    this.shown = loaded.naturalWidth;
    this.size = {
      width: this.marks.width || loaded.naturalWidth,
      height: this.marks.height || loaded.naturalHeight,
    };
    this.layer.style.width = `${this.size.width}px`;
    this.layer.style.height = `${this.size.height}px`;
    if (!this.isReady) {
      this.isReady = true;
      this.fit();
      performance.mark("viewer:first-picture");
      this.root.dispatchEvent(new CustomEvent("viewer:ready", { bubbles: true }));
      // The picture is painted before the larger script is asked for.
      requestAnimationFrame(() => setTimeout(() => this.#handOver()));
    }
    this.draw();
  }

  #loadSharp() {
    const url = this.root.dataset.full;
    if (!url || this.askedSharp || this.frame > 0) return;
    if (this.view.scale * devicePixelRatio * this.size.width < this.shown * 1.2) return;
    this.askedSharp = true;
    this.load(url, { quiet: true });
  }

  /* View ---------------------------------------------------------------------------------------- */
  #fitScale() {
    const { clientWidth, clientHeight } = this.stage;
    return Math.min(clientWidth / this.size.width, clientHeight / this.size.height) || 1;
  }

  fit() {
    if (!this.size) return;
    const scale = this.#fitScale();
    this.view = {
      scale,
      x: (this.stage.clientWidth - this.size.width * scale) / 2,
      y: (this.stage.clientHeight - this.size.height * scale) / 2,
    };
    this.isFitted = true;
    this.draw();
  }

  /** Zooms so that the point (x, y) of the stage stays where it is. */
  zoom(factor, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
    if (!this.size) return;
    const smallest = this.#fitScale();
    const scale = clamp(this.view.scale * factor, smallest, Math.max(LARGEST, smallest * 4));
    const ratio = scale / this.view.scale;
    this.view = { scale, x: x - (x - this.view.x) * ratio, y: y - (y - this.view.y) * ratio };
    this.isFitted = scale <= smallest * 1.001;
    if (this.isFitted) this.fit();
    this.draw();
    this.#loadSharp();
  }

  pan(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.draw();
  }

  #keepInside() {
    // A small picture stays in the middle, a large one covers the stage.
    for (const [axis, side] of [["x", "width"], ["y", "height"]]) {
      const room = side === "width" ? this.stage.clientWidth : this.stage.clientHeight;
      const length = this.size[side] * this.view.scale;
      this.view[axis] = length <= room ? (room - length) / 2 : clamp(this.view[axis], room - length, 0);
    }
  }

  draw() {
    if (!this.isReady || this.diagnostic) return;
    this.#keepInside();
    const { scale, x, y } = this.view;
    this.layer.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.stage.classList.toggle("is-zoomed", !this.isFitted);
    this.part("scale").textContent = `${Math.round((scale / this.#fitScale()) * 100)} %`;
    this.overlay.draw();
    if (this.heatmap.isOn) this.heatmap.place(this.toStage, this.size);
  }

  /* Boxes --------------------------------------------------------------------------------------- */
  toStage = ([x, y]) => [this.view.x + x * this.view.scale, this.view.y + y * this.view.scale];
  toImage = ([x, y]) => [(x - this.view.x) / this.view.scale, (y - this.view.y) / this.view.scale];

  /** Chooses one box, tells the page, and brings it to the middle. */
  focusMark(id) {
    const finding = this.findings.find(id);
    if (!finding) return;
    this.findings.select(id, finding.imageId);
    this.centre(finding.box, finding.frame);
  }

  centre({ x, y, width, height }, frame = this.frame) {
    if (!this.isReady) return;
    this.toggleBoxes(true);
    if (this.diagnostic) return void this.diagnostic.centreOn({ x, y, width, height }, frame);
    this.setFrame(frame);
    const { clientWidth, clientHeight } = this.stage;
    const around = Math.min(clientWidth / (width * 3), clientHeight / (height * 3));
    const scale = clamp(around, this.#fitScale(), Math.max(2, this.#fitScale()));
    this.view = {
      scale,
      x: clientWidth / 2 - (x + width / 2) * scale,
      y: clientHeight / 2 - (y + height / 2) * scale,
    };
    this.isFitted = scale <= this.#fitScale() * 1.001;
    this.draw();
    this.#loadSharp();
  }

  /* Toggles ------------------------------------------------------------------------------------- */
  #press(action, on) {
    this.root.querySelector(`[data-viewer-action="${action}"]`)?.setAttribute("aria-pressed", String(on));
  }

  toggleBoxes(on = this.overlay.hidden === true) {
    this.overlay.hidden = !on;
    this.#press("boxes", on);
    this.overlay.draw();
  }

  async toggleHeatmap(on = !this.heatmapOn) {
    this.heatmapOn = on && Boolean(this.root.dataset.heatmap);
    const shown = this.heatmapOn && this.findings.aiVisible && !this.findings.aiHidden && this.frame === 0;
    this.part("opacity-label")?.toggleAttribute("hidden", !this.heatmapOn);
    this.#press("heatmap", this.heatmapOn);
    const opacity = (this.part("opacity")?.value ?? 55) / 100;
    const done = await this.heatmap.show(shown ? this.root.dataset.heatmap : "", opacity); // of the first frame
    if (!done) this.#press("heatmap", (this.heatmapOn = false));
    else if (this.isReady && this.heatmap.isOn) this.heatmap.place(this.toStage, this.size);
  }

  /** All of the AI's marks were switched on or off, here or by the page. */
  #aiChanged() {
    if (this.diagnostic) return;
    this.#press("ai", this.findings.aiVisible && !this.findings.aiHidden);
    this.toggleHeatmap(this.heatmapOn);
  }

  /** The first reading without the AI is over: what was withheld is asked for. */
  async #reveal() {
    this.root.removeAttribute("data-ai-hidden");
    if (!this.root.dataset.viewsUrl) return;
    const answer = await fetch(this.root.dataset.viewsUrl, { credentials: "same-origin" }).catch(() => null);
    if (!answer?.ok) return;
    const { images } = await answer.json();
    const own = images.find((image) => image.id === this.imageId);
    if (own?.heatmap_url) this.root.dataset.heatmap = own.heatmap_url;
    for (const element of this.root.querySelectorAll("[data-viewer-needs-ai]")) element.hidden = false;
    for (const image of images) {
      if (!this.findings.of(image.id).length) this.findings.set(image.id, image.marks.boxes);
    }
    this.root.dispatchEvent(new CustomEvent("viewer:revealed", { detail: { images } }));
  }

  light() {
    const invert = this.inverted ? " invert(1)" : "";
    const brightness = this.part("brightness").value / 100;
    const contrast = this.part("contrast").value / 100;
    this.image.style.filter = `brightness(${brightness}) contrast(${contrast})${invert}`;
  }

  setFrame(frame) {
    const wanted = clamp(Math.round(frame), 0, this.frames - 1);
    if (wanted === this.frame) return;
    this.frame = wanted;
    const slider = this.part("frame");
    if (slider) slider.value = wanted;
    const number = this.part("frame-number");
    if (number) number.textContent = `${wanted + 1} / ${this.frames}`;
    this.toggleHeatmap(this.heatmapOn);
    // Django writes "{frame}" into an address as it is or percent-encoded.
    const address = this.root.dataset.frameUrl.replace(/\{frame\}|%7Bframe%7D/i, String(wanted));
    this.load(wanted === 0 ? this.root.dataset.image : address);
    this.draw();
  }

  act(action) {
    if (this.diagnostic && action !== "reload") return void this.diagnostic.act(action);
    const actions = {
      "zoom-in": () => this.zoom(STEP),
      "zoom-out": () => this.zoom(1 / STEP),
      fit: () => this.fit(),
      boxes: () => this.toggleBoxes(),
      heatmap: () => this.toggleHeatmap(),
      ai: () => this.findings.showAi(),
      reload: () => this.load(this.wanted),
      invert: () => {
        this.inverted = !this.inverted;
        this.#press("invert", this.inverted);
        this.light();
      },
      "reset-light": () => {
        this.part("brightness").value = this.part("contrast").value = 100;
        this.light();
      },
      full: () => {
        if (document.fullscreenElement) document.exitFullscreen();
        else this.root.requestFullscreen?.().catch(() => {});
      },
    };
    actions[action]?.();
  }

  key(event) {
    if (this.diagnostic) return void this.diagnostic.key(event);
    if (this.overlay.key(event)) return;
    const keys = {
      "+": () => this.zoom(STEP), "=": () => this.zoom(STEP), "-": () => this.zoom(1 / STEP), 0: () => this.fit(),
      b: () => this.toggleBoxes(), h: () => this.toggleHeatmap(), o: () => this.findings.showAi(), O: () => this.findings.showAi(), i: () => this.act("invert"), f: () => this.act("full"),
      "[": () => this.setFrame(this.frame - 1), "]": () => this.setFrame(this.frame + 1),
    };
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    const onStage = document.activeElement === this.stage;
    if (moves[event.key] && onStage && !this.isFitted) this.pan(...moves[event.key]);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  }
}

function start(root) {
  const found = [...(root.querySelectorAll?.("[data-viewer]") ?? [])];
  if (root.matches?.("[data-viewer]")) found.push(root);
  for (const element of found) element.viewer ??= new Viewer(element);
}

/** The viewer that keys go to: the one with the focus, else the first that can be seen. */
function current() {
  const focused = document.activeElement?.closest?.("[data-viewer]");
  const visible = [...document.querySelectorAll("[data-viewer]")].find((element) => element.offsetParent !== null);
  return (focused ?? visible)?.viewer;
}

start(document);
document.addEventListener("htmx:load", (event) => start(event.target));
document.addEventListener("keydown", (event) => {
  // Cornerstone prevents the default of every key that it sees, also of those it does nothing with.
  const isFree = !event.defaultPrevented || event.target.closest?.(".viewer-gl");
  if (isFree && !isTyping(event)) current()?.key(event);
});
document.addEventListener("click", (event) => {
  const view = event.target.closest?.("[data-viewer-view]");
  const shows = view && !event.ctrlKey && !event.metaKey && !event.shiftKey && current()?.diagnostic;
  if (shows) {
    event.preventDefault();
    shows.showView(view.dataset.viewerView);
  }
  const button = event.target.closest?.("[data-viewer-focus]");
  const target = button && document.querySelector(button.dataset.viewerTarget ?? "[data-viewer]");
  target?.viewer?.focusMark(button.dataset.viewerFocus);
});
