/* The image viewer of the result page. Markup and data: templates/diagnosis/_viewer.html.

   Every [data-viewer] on the page, or brought by htmx, starts by itself; element.viewer is its Viewer.
   Boxes are given in pixels of the original image; the rendition may have any size of the same shape.
   Reader: wheel, pinch, double click and buttons zoom; drag moves; keys + - 0 arrows b h i f [ ].
   Pages: viewer.focusMark(id), or a button with data-viewer-focus and data-viewer-target.
   Events on the element: "viewer:ready", "viewer:failed". */

import { isTyping } from "./app.js";

const SVG = "http://www.w3.org/2000/svg";
const LARGEST = 12; // times one pixel of the original
const STEP = 1.3;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/* Dark violet, red, yellow: readable on grey, and for people who see no red or green by its lightness. */
const RAMP = [[45, 0, 75], [140, 20, 90], [225, 70, 40], [252, 170, 30], [255, 250, 150]];
function rampColour(value) {
  const place = clamp(value, 0, 1) * (RAMP.length - 1);
  const index = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[index].map((from, channel) => from + (RAMP[index + 1][channel] - from) * (place - index));
}

/** Colours a grey map in place; leaves a map that has colour or transparency as it is. */
function colourise(pixels) {
  for (let at = 0; at < pixels.length; at += 4) {
    const isGrey = pixels[at] === pixels[at + 1] && pixels[at] === pixels[at + 2];
    if (!isGrey || pixels[at + 3] !== 255) return;
  }
  const table = Array.from({ length: 256 }, (_, grey) => rampColour(grey / 255));
  for (let at = 0; at < pixels.length; at += 4) {
    const grey = pixels[at];
    [pixels[at], pixels[at + 1], pixels[at + 2]] = table[grey];
    pixels[at + 3] = clamp((grey - 20) * 1.35, 0, 255); // what is cold stays clear
  }
}

function loadImage(url, { shared = false } = {}) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    if (shared) image.crossOrigin = "anonymous";
    image.decoding = "async";
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("image"));
    image.src = url;
  });
}

export class Viewer {
  constructor(root) {
    this.root = root;
    this.part = (name) => root.querySelector(`[data-viewer-${name}]`);
    this.stage = this.part("stage");
    this.layer = this.part("layer");
    this.image = this.part("image");
    this.canvas = this.part("heatmap");
    this.svg = this.part("marks");
    this.marks = JSON.parse(document.getElementById(root.dataset.marks)?.textContent || "{}");
    this.boxes = this.marks.boxes ?? [];
    this.frames = Math.max(1, Number(root.dataset.frames || 1));
    this.view = { scale: 1, x: 0, y: 0 };
    this.pointers = new Map();
    this.frame = 0;
    this.showBoxes = true;
    this.isFitted = true;
    this.#listen();
    this.load(root.dataset.image);
  }

  /* Loading ------------------------------------------------------------------------------------- */
  /** Shows the picture at the address; a quiet load (the sharper one) keeps the old picture on failure. */
  async load(url, { quiet = false } = {}) {
    this.wanted = url;
    this.part("failed").hidden = true;
    this.part("loading").hidden = this.isReady === true;
    let loaded;
    try {
      loaded = await loadImage(url);
    } catch {
      loaded = null;
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
    this.image.replaceWith(loaded);
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
      this.root.dispatchEvent(new CustomEvent("viewer:ready", { bubbles: true }));
    }
    this.#draw();
  }

  #loadSharp() {
    const url = this.root.dataset.full;
    if (!url || this.askedSharp || this.frame > 0) return;
    if (this.view.scale * devicePixelRatio * this.size.width < this.shown * 1.2) return;
    this.askedSharp = true;
    this.load(url, { quiet: true });
  }

  async #loadHeatmap() {
    if (this.hasHeatmap) return;
    this.hasHeatmap = true;
    const url = this.root.dataset.heatmap;
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    let map;
    try {
      map = await loadImage(url, { shared: true });
    } catch {
      map = await loadImage(url).catch(() => null); // a storage host without CORS: shown, not read
    }
    if (!map) {
      this.hasHeatmap = false;
      this.#press("heatmap", false);
      this.canvas.hidden = true;
      return;
    }
    this.canvas.width = map.naturalWidth;
    this.canvas.height = map.naturalHeight;
    context.drawImage(map, 0, 0);
    try {
      const data = context.getImageData(0, 0, this.canvas.width, this.canvas.height);
      colourise(data.data);
      context.putImageData(data, 0, 0);
    } catch {
      this.canvas.classList.add("is-blended");
    }
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
    this.#draw();
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
    this.#draw();
    this.#loadSharp();
  }

  pan(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.#draw();
  }

  #keepInside() {
    // A small picture stays in the middle, a large one covers the stage.
    for (const [axis, side] of [["x", "width"], ["y", "height"]]) {
      const room = side === "width" ? this.stage.clientWidth : this.stage.clientHeight;
      const length = this.size[side] * this.view.scale;
      this.view[axis] = length <= room ? (room - length) / 2 : clamp(this.view[axis], room - length, 0);
    }
  }

  #draw() {
    if (!this.isReady) return;
    this.#keepInside();
    const { scale, x, y } = this.view;
    this.layer.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.stage.classList.toggle("is-zoomed", !this.isFitted);
    this.part("scale").textContent = `${Math.round((scale / this.#fitScale()) * 100)} %`;
    this.#drawMarks();
  }

  /* Boxes --------------------------------------------------------------------------------------- */
  #drawMarks() {
    const { scale, x, y } = this.view;
    const visible = this.showBoxes ? this.boxes.filter((mark) => (mark.frame ?? 0) === this.frame) : [];
    this.svg.replaceChildren(
      ...visible.map((mark, index) => {
        const [left, top, width, height] = mark.box;
        const place = { x: x + left * scale, y: y + top * scale, width: width * scale, height: height * scale };
        return this.#markElement(mark, place, index + 1);
      }),
    );
    for (const group of this.svg.children) this.#placeLabel(group);
  }

  #markElement(mark, place, number) {
    const make = (name, attributes) => {
      const element = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      return element;
    };
    const kind = mark.certainty === "definite" ? "definite" : "suspicion";
    const focused = this.focused !== undefined && String(mark.id) === String(this.focused);
    const group = make("g", { class: `${kind}${focused ? " is-focused" : ""}`, "data-id": mark.id ?? number });
    const words = make("text", { x: place.x, y: place.y });
    const probability = mark.probability == null ? "" : Number(mark.probability).toFixed(2);
    words.textContent = [number, mark.label, probability].filter(Boolean).join("  ");
    group.append(
      make("rect", { ...place, rx: 2, class: "shadow-line" }),
      make("rect", { ...place, rx: 2, class: "line" }),
      make("rect", { class: "label-ground", rx: 3 }),
      words,
    );
    return group;
  }

  /** Puts the label above its box, below where there is no room above, and never outside. */
  #placeLabel(group) {
    const [, line, ground, words] = group.children;
    const extent = words.getBBox();
    const width = extent.width + 10;
    const height = extent.height + 5;
    const [left, top, boxHeight] = ["x", "y", "height"].map((name) => Number(line.getAttribute(name)));
    const below = top + boxHeight + 4;
    const room = this.stage.clientHeight;
    const y = top - height - 4 >= 0 ? top - height - 4 : below + height <= room ? below : top + 4;
    const x = clamp(left, 0, Math.max(0, this.stage.clientWidth - width));
    for (const [name, value] of Object.entries({ x, y, width, height })) ground.setAttribute(name, value);
    words.setAttribute("x", x + 5);
    words.setAttribute("y", y + height * 0.72);
  }

  /** Brings one box to the middle and draws it heavier. */
  focusMark(id) {
    const mark = this.boxes.find((candidate) => String(candidate.id) === String(id));
    if (!mark || !this.isReady) return;
    this.focused = id;
    this.toggleBoxes(true);
    if (mark.frame !== undefined && mark.frame !== this.frame) this.setFrame(mark.frame);
    const [left, top, width, height] = mark.box;
    const { clientWidth, clientHeight } = this.stage;
    const around = Math.min(clientWidth / (width * 3), clientHeight / (height * 3));
    const scale = clamp(around, this.#fitScale(), Math.max(2, this.#fitScale()));
    this.view = {
      scale,
      x: clientWidth / 2 - (left + width / 2) * scale,
      y: clientHeight / 2 - (top + height / 2) * scale,
    };
    this.isFitted = scale <= this.#fitScale() * 1.001;
    this.#draw();
    this.#loadSharp();
  }

  /* Toggles ------------------------------------------------------------------------------------- */
  #press(action, on) {
    this.root.querySelector(`[data-viewer-action="${action}"]`)?.setAttribute("aria-pressed", String(on));
  }

  toggleBoxes(on = !this.showBoxes) {
    this.showBoxes = on;
    this.#press("boxes", on);
    this.#draw();
  }

  toggleHeatmap(on = this.canvas.hidden) {
    if (!this.root.dataset.heatmap) return;
    this.canvas.hidden = !on || this.frame > 0;
    this.heatmapOn = on;
    this.part("opacity-label").hidden = !on;
    this.#press("heatmap", on);
    this.canvas.style.opacity = this.part("opacity").value / 100;
    if (on) this.#loadHeatmap();
  }

  #light() {
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
    this.canvas.hidden = !this.heatmapOn || wanted > 0; // the heatmap belongs to the first frame
    // Django writes "{frame}" into an address as it is or percent-encoded.
    const address = this.root.dataset.frameUrl.replace(/\{frame\}|%7Bframe%7D/i, String(wanted));
    this.load(wanted === 0 ? this.root.dataset.image : address);
    this.#draw();
  }

  act(action) {
    const actions = {
      "zoom-in": () => this.zoom(STEP),
      "zoom-out": () => this.zoom(1 / STEP),
      fit: () => this.fit(),
      boxes: () => this.toggleBoxes(),
      heatmap: () => this.toggleHeatmap(),
      reload: () => this.load(this.wanted),
      invert: () => {
        this.inverted = !this.inverted;
        this.#press("invert", this.inverted);
        this.#light();
      },
      adjust: () => {
        const panel = this.part("adjust");
        panel.hidden = !panel.hidden;
        this.root.querySelector('[data-viewer-action="adjust"]').setAttribute("aria-expanded", String(!panel.hidden));
      },
      "reset-light": () => {
        this.part("brightness").value = this.part("contrast").value = 100;
        this.#light();
      },
      full: () => {
        if (document.fullscreenElement) document.exitFullscreen();
        else this.root.requestFullscreen?.().catch(() => {});
      },
    };
    actions[action]?.();
  }

  /* Hands --------------------------------------------------------------------------------------- */
  #listen() {
    const stage = this.stage;
    this.root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-viewer-action]");
      if (button) this.act(button.dataset.viewerAction);
    });
    this.root.addEventListener("input", (event) => {
      const data = event.target.dataset;
      if ("viewerOpacity" in data) this.canvas.style.opacity = event.target.value / 100;
      else if ("viewerFrame" in data) this.setFrame(Number(event.target.value));
      else if ("viewerBrightness" in data || "viewerContrast" in data) this.#light();
    });
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 18 : 1;
      this.zoom(Math.exp(-event.deltaY * lines * 0.0016), ...this.#point(event));
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => {
      if (event.target.closest("button")) return;
      if (this.isFitted) this.zoom(2.5, ...this.#point(event));
      else this.fit();
    });
    stage.addEventListener("pointerdown", (event) => this.#pointerDown(event));
    stage.addEventListener("pointermove", (event) => this.#pointerMove(event));
    for (const name of ["pointerup", "pointercancel"]) {
      stage.addEventListener(name, (event) => this.#pointerUp(event));
    }
    new ResizeObserver(() => (this.isFitted ? this.fit() : this.#draw())).observe(stage);
  }

  #point(event) {
    const edge = this.stage.getBoundingClientRect();
    return [event.clientX - edge.left, event.clientY - edge.top];
  }

  #pointerDown(event) {
    if (event.button > 0 || event.target.closest("button")) return;
    this.pointers.set(event.pointerId, this.#point(event));
    // A finger on the fitted picture scrolls the page; two fingers, or any other hand, are ours.
    if (event.pointerType === "mouse" || !this.isFitted || this.pointers.size > 1) {
      this.stage.setPointerCapture(event.pointerId);
    }
    this.stage.classList.add("is-dragging");
  }

  #pointerMove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#point(event);
    this.pointers.set(event.pointerId, now);
    if (this.pointers.size === 1) {
      this.pan(now[0] - before[0], now[1] - before[1]);
      return;
    }
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
    const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    this.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    this.zoom(distance(now, other) / distance(before, other), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  }

  #pointerUp(event) {
    this.pointers.delete(event.pointerId);
    if (this.pointers.size === 0) this.stage.classList.remove("is-dragging");
  }

  key(event) {
    const keys = {
      "+": () => this.zoom(STEP), "=": () => this.zoom(STEP), "-": () => this.zoom(1 / STEP), 0: () => this.fit(),
      b: () => this.toggleBoxes(), h: () => this.toggleHeatmap(), i: () => this.act("invert"), f: () => this.act("full"),
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
  if (!event.defaultPrevented && !isTyping(event)) current()?.key(event);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-viewer-focus]");
  const target = button && document.querySelector(button.dataset.viewerTarget ?? "[data-viewer]");
  target?.viewer?.focusMark(button.dataset.viewerFocus);
});
